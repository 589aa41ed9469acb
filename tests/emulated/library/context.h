// The execution context.
#pragma once
#include "ask.h"

class Context : public IExecutionContext {
public:
    class Inner : public tables::VExecutionContext {
    public:
        Inner(int64_t id, ICudaEngine& engine, Context& outer) : id_(id), engine_(engine), outer_(outer) {}
        IExecutionContext* getPImpl() noexcept override { return &outer_; }
        ICudaEngine const& getEngine() const noexcept override { return engine_; }
        int32_t getOptimizationProfile() const noexcept override { return static_cast<int32_t>(ask("profile", id_)); }
        bool setOptimizationProfileAsync(int32_t index, cudaStream_t s) noexcept override {
            return ask("set_profile", id_, "", {index, number(s)});
        }
        bool allInputDimensionsSpecified() const noexcept override { return ask("all_shapes", id_); }
        bool setInputShape(char const* name, Dims const& shape) noexcept override {
            return double_ask("set_input_shape", id_, name, shape.d, shape.nbDims, nullptr);
        }
        Dims getTensorShape(char const* name) const noexcept override { return ask_shape("tensor_shape", id_, name); }
        bool setTensorAddress(char const* name, void* data) noexcept override {
            return ask("set_tensor_address", id_, name, {number(data)});
        }
        void const* getTensorAddress(char const* name) const noexcept override {
            return reinterpret_cast<void*>(ask("tensor_address", id_, name));
        }
        int32_t inferShapes(int32_t count, char const** names) noexcept override {
            int32_t const missing = static_cast<int32_t>(ask("infer_shapes", id_));
            for (int32_t i = 0; i < missing && i < count; ++i) names[i] = ask_text("missing_shape", id_, {i});
            return missing;
        }
        bool enqueueV3(cudaStream_t s) noexcept override { return ask("execute", id_, "", {number(s)}); }
        void setDeviceMemoryV2(void* memory, int64_t size) noexcept override {
            ask("set_device_memory", id_, "", {number(memory), size});
        }
        size_t updateDeviceMemorySizeForShapes() noexcept override {
            return static_cast<size_t>(ask("memory_for_shapes", id_));
        }
        void setProfiler(IProfiler* profiler) noexcept override {
            profiler_ = profiler;
            ask("set_profiler", id_, "", {number(profiler)});
        }
        IProfiler* getProfiler() const noexcept override { return profiler_; }
        void setEnqueueEmitsProfile(bool emits) noexcept override { ask("set_emits_profile", id_, "", {emits}); }
        bool getEnqueueEmitsProfile() const noexcept override { return ask("emits_profile", id_); }
        bool reportToProfiler() const noexcept override { return ask("report_to_profiler", id_); }
#ifdef RTX
        bool isStreamCapturable(cudaStream_t s) const noexcept override {
            return ask("is_capturable", id_, "", {number(s)});
        }
#endif

        int64_t id_;

    private:
        ICudaEngine& engine_;
        Context& outer_;
        IProfiler* profiler_ = nullptr;
    };
    Context(int64_t id, ICudaEngine& engine) : inner_(id, engine, *this) {
        mImpl = reinterpret_cast<apiv::VExecutionContext*>(&inner_);
    }
    ~Context() noexcept override { ask("delete", inner_.id_); }

private:
    Inner inner_;
};

// What contexts are made with, in TensorRT 10.11 and later, and in TensorRT-RTX.
class Config : public IRuntimeConfig {
public:
    class Inner : public tables::VRuntimeConfig {
    public:
        void setExecutionContextAllocationStrategy(ExecutionContextAllocationStrategy strategy) noexcept override {
            strategy_ = strategy;
        }
        ExecutionContextAllocationStrategy getExecutionContextAllocationStrategy() const noexcept override {
            return strategy_;
        }
#ifdef RTX
        void setDynamicShapesKernelSpecializationStrategy(int32_t value) noexcept override { specialization_ = value; }
        int32_t getDynamicShapesKernelSpecializationStrategy() const noexcept override { return specialization_; }
        void setCudaGraphStrategy(int32_t value) noexcept override { graph_ = value; }
        int32_t getCudaGraphStrategy() const noexcept override { return graph_; }
#endif

    private:
        int32_t specialization_ = 0, graph_ = 0;
        ExecutionContextAllocationStrategy strategy_ = ExecutionContextAllocationStrategy::kSTATIC;
    };
    Config() { mImpl = reinterpret_cast<apiv::VRuntimeConfig*>(&inner_); }

private:
    Inner inner_;
};
