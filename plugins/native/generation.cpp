#include "generation.h"

#include <dlfcn.h>

#include <cstdint>

namespace spair {
namespace {

// Versions are 10000 * major + 100 * minor + patch. TensorRT-RTX, which counts from 1, is of the later generation.
constexpr int32_t kFirstTen = 100000, kFirstEleven = 110000;

const Generation* generation_in_file(const char* path) {
    void* library = dlopen(path, RTLD_LAZY | RTLD_NOLOAD);  // opens nothing that is not there
    if (library == nullptr) {
        return nullptr;
    }
    const Generation* found = generation_in(library);
    dlclose(library);
    return found;
}

}  // namespace

const Generation* generation_in(void* library) {
    const auto version = reinterpret_cast<int32_t (*)()>(dlsym(library, "getInferLibVersion"));
    if (version == nullptr) {
        return nullptr;
    }
    const int32_t number = version();
    return number >= kFirstTen && number < kFirstEleven ? &kTen : &kEleven;
}

const Generation* generation_of(const void* object) {
    Dl_info owner{};
    const Generation* found = nullptr;
    if (dladdr(*static_cast<void* const*>(object), &owner) != 0 && owner.dli_fname != nullptr) {
        found = generation_in_file(owner.dli_fname);
    }
    for (const char* name : kTensorRTs) {
        found = found == nullptr ? generation_in_file(name) : found;
    }
    return found;
}

}  // namespace spair
