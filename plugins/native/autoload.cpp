// Second library, for programs that open plugin libraries and register nothing. When it is opened, it asks every
// TensorRT in the process to load libspair_plugins.so, which lies beside it.
#include <dlfcn.h>

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>

#include "generation.h"

namespace spair {
namespace {

constexpr const char* kLibrary = "libspair_plugins.so";

// nvinfer1::InterfaceInfo.
struct Kind {
    const char* name;
    int32_t major, minor;
};

// Positions in the table of IPluginCreatorV3One, which are the same in all generations.
constexpr int kGetInterfaceInfo = 1, kGetPluginName = 6, kGetPluginNamespace = 8;

bool is_ours(void* creator) {
    return std::strcmp(call<Kind>(creator, kGetInterfaceInfo).name, "PLUGIN CREATOR_V3ONE") == 0 &&
           std::strcmp(call<const char*>(creator, kGetPluginName), "SparseConv2d") == 0 &&
           std::strcmp(call<const char*>(creator, kGetPluginNamespace), "spair") == 0;
}

// Tells whether the plugins are registered, in which case the registry would refuse to load them again.
bool is_registered(void* registry, const Generation& functions) {
    int32_t count = 0;
    void* const* creators = call<void* const*>(registry, functions.all_creators, &count);
    for (int32_t i = 0; i < count; ++i) {
        if (is_ours(creators[i])) {
            return true;
        }
    }
    return false;
}

std::string path_of_library() {
    Dl_info own{};
    dladdr(reinterpret_cast<const void*>(&path_of_library), &own);
    const std::string path = own.dli_fname == nullptr ? "" : own.dli_fname;
    return path.substr(0, path.rfind('/') + 1) + kLibrary;
}

void load_into(void* registry, const Generation& functions, const char* tensorrt) {
    if (is_registered(registry, functions)) {
        return;
    }
    const std::string path = path_of_library();
    void* opened = dlopen(path.c_str(), RTLD_LAZY | RTLD_LOCAL);  // the loader's words are better than TensorRT's
    if (opened == nullptr) {
        std::fprintf(stderr, "spair: the plugin library does not open: %s\n", dlerror());
        return;
    }
    if (call<void*>(registry, functions.load_library, path.c_str()) == nullptr) {
        std::fprintf(stderr, "spair: the registry of %s refuses the plugin library %s\n", tensorrt, path.c_str());
    }
    dlclose(opened);
}

__attribute__((constructor)) void load_plugins() {
    bool found = false;
    for (const char* name : kTensorRTs) {
        void* tensorrt = dlopen(name, RTLD_LAZY | RTLD_NOLOAD);  // a copy of its own would have a registry of its own
        if (tensorrt == nullptr) {
            continue;
        }
        const auto registry = reinterpret_cast<void* (*)()>(dlsym(tensorrt, "getPluginRegistry"));
        const Generation* functions = generation_in(tensorrt);
        if (registry != nullptr && functions != nullptr) {
            found = true;
            load_into(registry(), *functions, name);
        }
        dlclose(tensorrt);
    }
    if (!found) {
        std::fprintf(stderr,
                     "spair: no TensorRT is in this process yet, so no plugins were registered; open TensorRT's library "
                     "(libnvinfer.so or libtensorrt_rtx.so) before libspair_plugins_autoload.so\n");
    }
}

}  // namespace
}  // namespace spair
