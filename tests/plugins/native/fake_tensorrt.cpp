// A TensorRT without a GPU: its registry and logger, with the tables of generation 10 or 11, and no header of TensorRT.
// Build it with -DGENERATION=10 or 11 and the name that processes load that TensorRT under as its soname.
#include <dlfcn.h>

#include <cstdint>
#include <string>
#include <vector>

#define EXPORT extern "C" __attribute__((visibility("default")))

namespace {

std::string messages, calls;

// A function of a table that nobody should have called.
int wrong(const char* name) {
    calls += std::string(name) + "\n";
    return 0;
}

#if GENERATION == 10
struct Base {};
#else
struct Info {
    const char* kind;
    int32_t major, minor;
};
struct Base {
    virtual int32_t getAPILanguage() const noexcept { return wrong("getAPILanguage"); }
    virtual Info getInterfaceInfo() const noexcept { return {"", wrong("getInterfaceInfo"), 0}; }
    virtual ~Base() = default;
};
#endif

struct Logger : Base {
    virtual void log(int32_t severity, const char* message) noexcept {
        messages += std::to_string(severity) + ": " + message + "\n";
    }
    virtual ~Logger() = default;
};

struct Finder : Base {
    virtual Logger* findLogger() {
        static Logger logger;
        return &logger;
    }
    virtual ~Finder() = default;
};

Finder finder;
std::vector<void*> creators;

// The registry's interface, entry by entry as in NvInferRuntimeCommon.h.
struct Registry {
#if GENERATION == 10
    virtual bool registerCreatorV1(void*, const char*) noexcept { return wrong("registerCreatorV1"); }
    virtual void* getPluginCreatorList(int32_t*) const noexcept { return wrong("getPluginCreatorList"), nullptr; }
    virtual void* getPluginCreator(const char*, const char*, const char*) noexcept { return wrong("getPluginCreator"), nullptr; }
#endif
    virtual ~Registry() = default;
    virtual void setErrorRecorder(void*) noexcept { wrong("setErrorRecorder"); }
    virtual void* getErrorRecorder() const noexcept { return wrong("getErrorRecorder"), nullptr; }
#if GENERATION == 10
    virtual bool deregisterCreatorV1(void*) noexcept { return wrong("deregisterCreatorV1"); }
#endif
    virtual bool isParentSearchEnabled() const { return wrong("isParentSearchEnabled"); }
    virtual void setParentSearchEnabled(bool) { wrong("setParentSearchEnabled"); }
    // As TensorRT: null where the file does not open, or its creators are registered already.
    virtual void* loadLibrary(const char* path) noexcept {
        calls += std::string("loadLibrary ") + path + "\n";
        void* library = dlopen(path, RTLD_LAZY);
        if (library == nullptr || !creators.empty()) {
            return nullptr;
        }
        if (auto* set = reinterpret_cast<void (*)(void*)>(dlsym(library, "setLoggerFinder"))) {
            set(&finder);
        }
        int32_t count = 0;
        auto* get = reinterpret_cast<void* const* (*)(int32_t&)>(dlsym(library, "getCreators"));
        void* const* found = get(count);
        creators.assign(found, found + count);
        return library;
    }
    virtual void deregisterLibrary(void*) noexcept { wrong("deregisterLibrary"); }
    virtual bool registerCreator(void*, const char*) noexcept { return wrong("registerCreator"); }
    virtual void* const* getAllCreators(int32_t* count) const noexcept {
        *count = static_cast<int32_t>(creators.size());
        return creators.data();
    }
    virtual void* getCreator(const char*, const char*, const char*) noexcept { return wrong("getCreator"), nullptr; }
};

}  // namespace

EXPORT int32_t getInferLibVersion() { return VERSION; }

EXPORT void* getPluginRegistry() {
    static Registry registry;
    return &registry;
}

EXPORT void* fake_finder() { return &finder; }
EXPORT const char* fake_messages() { return messages.c_str(); }
EXPORT const char* fake_calls() { return calls.c_str(); }
EXPORT int32_t fake_creators() { return static_cast<int32_t>(creators.size()); }
