// The engine and its inspector.
#pragma once
#include "context.h"

class Inspector : public IEngineInspector {
public:
    class Inner : public tables::VEngineInspector {
    public:
        Inner(int64_t id, Inspector& outer) : id_(id), outer_(outer) {}
        IEngineInspector* getPImpl() noexcept override { return &outer_; }
        bool setExecutionContext(IExecutionContext const* context) noexcept override {
            context_ = context;
            return true;
        }
        IExecutionContext const* getExecutionContext() const noexcept override { return context_; }
        char const* getLayerInformation(int32_t index, LayerInformationFormat format) const noexcept override {
            return ask_text("layer_information", id_, {index, static_cast<int64_t>(format)});
        }
        char const* getEngineInformation(LayerInformationFormat format) const noexcept override {
            return ask_text("engine_information", id_, {static_cast<int64_t>(format)});
        }

        int64_t id_;

    private:
        Inspector& outer_;
        IExecutionContext const* context_ = nullptr;
    };
    explicit Inspector(int64_t id) : inner_(id, *this) {
        mImpl = reinterpret_cast<apiv::VEngineInspector*>(&inner_);
    }
    ~Inspector() noexcept override { ask("delete", inner_.id_); }

private:
    Inner inner_;
};

class Engine : public ICudaEngine {
public:
    class Inner : public tables::VCudaEngine {
    public:
        Inner(int64_t id, Engine& outer) : id_(id), outer_(outer) {}
        ICudaEngine* getPImpl() noexcept override { return &outer_; }
        int32_t getNbLayers() const noexcept override { return static_cast<int32_t>(ask("layers", id_)); }
        char const* getName() const noexcept override { return "Unnamed Network 0"; }
        int32_t getNbOptimizationProfiles() const noexcept override {
            return static_cast<int32_t>(ask("profiles", id_));
        }
        ProfilingVerbosity getProfilingVerbosity() const noexcept override {
            return static_cast<ProfilingVerbosity>(ask("verbosity", id_));
        }
        int64_t getDeviceMemorySizeV2() const noexcept override { return ask("device_memory", id_); }
        int64_t getDeviceMemorySizeForProfileV2(int32_t profile) const noexcept override {
            return ask("device_memory_for_profile", id_, "", {profile});
        }
        int32_t getNbIOTensors() const noexcept override { return static_cast<int32_t>(ask("tensors", id_)); }
        char const* getIOTensorName(int32_t index) const noexcept override {
            return ask_text("tensor_name", id_, {index});
        }
        TensorIOMode getTensorIOMode(char const* name) const noexcept override {
            return static_cast<TensorIOMode>(ask("tensor_mode", id_, name));
        }
        DataType getTensorDataType(char const* name) const noexcept override {
            return static_cast<DataType>(ask("tensor_type", id_, name));
        }
        TensorLocation getTensorLocation(char const*) const noexcept override { return TensorLocation::kDEVICE; }
        Dims getTensorShape(char const* name) const noexcept override { return ask_shape("engine_shape", id_, name); }
        Dims getProfileShape(char const* name, int32_t profile, OptProfileSelector select) const noexcept override {
            return ask_shape("profile_shape", id_, name, {profile, static_cast<int64_t>(select)});
        }
        IEngineInspector* createEngineInspector() const noexcept override {
            return new Inspector(ask("create_inspector", id_));
        }
        IExecutionContext* createExecutionContext(ExecutionContextAllocationStrategy strategy) noexcept override {
            int64_t const id = ask("create_context", id_, "", {static_cast<int64_t>(strategy)});
            return id ? new Context(id, outer_) : nullptr;
        }
        IRuntimeConfig* createRuntimeConfig() noexcept override { return new Config; }
        IExecutionContext* createExecutionContextWithRuntimeConfig(IRuntimeConfig* config) noexcept override {
            return createExecutionContext(config->getExecutionContextAllocationStrategy());
        }

        int64_t id_;

    private:
        Engine& outer_;
    };
    explicit Engine(int64_t id) : inner_(id, *this) { mImpl = reinterpret_cast<apiv::VCudaEngine*>(&inner_); }
    ~Engine() noexcept override { ask("delete", inner_.id_); }

private:
    Inner inner_;
};
