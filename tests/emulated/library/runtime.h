// The runtime and its registry of plugin libraries.
#pragma once
#include "engine.h"

class Registry : public tables::IPluginRegistry {
public:
    explicit Registry(int64_t id) : id_(id) {}
    void* loadLibrary(AsciiChar const* path) noexcept override {
        return reinterpret_cast<void*>(ask("load_library", id_, path));
    }
    void deregisterLibrary(void* handle) noexcept override { ask("deregister_library", id_, "", {number(handle)}); }

private:
    int64_t id_;
};

class Runtime : public IRuntime {
public:
    class Inner : public tables::VRuntime {
    public:
        Inner(int64_t id, ILogger* log, Runtime& outer) : id_(id), log_(log), outer_(outer), registry_(id) {}
        IRuntime* getPImpl() noexcept override { return &outer_; }
        ILogger* getLogger() const noexcept override { return log_; }
        IPluginRegistry& getPluginRegistry() noexcept override { return reinterpret_cast<IPluginRegistry&>(registry_); }
        void setEngineHostCodeAllowed(bool allowed) noexcept override { allowed_ = allowed; }
        bool getEngineHostCodeAllowed() const noexcept override { return allowed_; }
        ICudaEngine* deserializeCudaEngine(void const* blob, std::size_t size) noexcept override {
            int64_t const id = ask("deserialize", id_, "", {number(blob), static_cast<int64_t>(size)});
            return id ? new Engine(id) : nullptr;
        }
#ifdef RTX
        size_t getEngineHeaderSize() const noexcept override { return 64; }
        int32_t getEngineValidity(void const* blob, int64_t size, uint64_t* diagnostics) const noexcept override {
            Dims const answer = ask_shape("validity", id_, "", {number(blob), size});
            *diagnostics = static_cast<uint64_t>(answer.d[1]);
            return static_cast<int32_t>(answer.d[0]);
        }
#endif

        int64_t id_;

    private:
        ILogger* log_;
        Runtime& outer_;
        Registry registry_;
        bool allowed_ = false;
    };
    Runtime(int64_t id, ILogger* log) : inner_(id, log, *this) { mImpl = reinterpret_cast<apiv::VRuntime*>(&inner_); }
    ~Runtime() noexcept override { ask("delete", inner_.id_); }

private:
    Inner inner_;
};
