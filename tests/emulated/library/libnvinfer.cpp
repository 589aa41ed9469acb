// libnvinfer without TensorRT: entry points that its Python bindings link with. The rest is asked of Python.
#include "runtime.h"

void tables::absent(char const* name) { std::fprintf(stderr, "libnvinfer: %s is not emulated\n", name); }

#ifdef VERSIONED
// From 11 on listeners are versioned interfaces: their method is entry 4 of the table instead of entry 0.
struct Listener {
    virtual int32_t language() const noexcept = 0;
    virtual InterfaceInfo info() const noexcept = 0;
    virtual ~Listener() noexcept = default;
};
struct Logger : Listener {
    virtual void log(ILogger::Severity severity, char const* words) noexcept = 0;
};
struct Profiler : Listener {
    virtual void reportLayerTime(char const* name, float ms) noexcept = 0;
};
#else
using Logger = ILogger;
using Profiler = IProfiler;
#endif

EXPORT void double_log(Logger* log, int32_t severity, char const* words) {
    log->log(static_cast<ILogger::Severity>(severity), words);
}
EXPORT void double_report(Profiler* profiler, char const* name, float ms) { profiler->reportLayerTime(name, ms); }

static Registry global_registry{0};

EXPORT void* createInferRuntime_INTERNAL(void* log, int32_t) noexcept {
    int64_t const id = ask("create_runtime", 0, "", {number(log)});
    return id ? static_cast<IRuntime*>(new Runtime(id, static_cast<ILogger*>(log))) : nullptr;
}
EXPORT IPluginRegistry* getPluginRegistry() noexcept { return reinterpret_cast<IPluginRegistry*>(&global_registry); }
EXPORT IPluginRegistry* getBuilderPluginRegistry(EngineCapability) noexcept { return getPluginRegistry(); }
EXPORT void* createInferBuilder_INTERNAL(void*, int32_t) noexcept { return nullptr; }
EXPORT void* createInferRefitter_INTERNAL(void*, void*, int32_t) noexcept { return nullptr; }
EXPORT int32_t getInferLibVersion() noexcept { return NV_TENSORRT_VERSION; }
EXPORT ILogger* getLogger() noexcept { return nullptr; }
// Those of libnvinfer_plugin and libnvonnxparser, which are empty and linked with this.
EXPORT bool initLibNvInferPlugins(void*, char const*) { return true; }
EXPORT void* createNvOnnxParser_INTERNAL(void*, void*, int) { return nullptr; }
EXPORT void* createNvOnnxParserRefitter_INTERNAL(void*, void*, int) { return nullptr; }
EXPORT int getNvOnnxParserVersion() { return NV_TENSORRT_VERSION; }
