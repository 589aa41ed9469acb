// Base class of all operators, which is TensorRT's core, build and runtime interface at once, and its creator.
#pragma once
#include "NvInferRuntime.h"

#include <cstddef>
#include <cstdint>
#include <exception>
#include <string>
#include <vector>

#include "fields.h"
#include "kernels.h"
#include "layout.h"
#include "log.h"

namespace spair {

constexpr const char* kNamespace = "spair";
constexpr const char* kPluginVersion = "1";

// Descriptions of a call's tensors: inputs, then outputs.
using Tensors = std::vector<nvinfer1::PluginTensorDesc>;

// Operator, most of which have one output. Operators define the protected functions, which throw. TensorRT calls the
// public ones, which catch, log one sentence, and return failure.
//
// TensorRT owns all tensors and the workspace. A plugin owns nothing on the device: kernels belong to the library, one
// set per CUDA context, and are loaded by attachToContext or onShapeChange, so that enqueue only launches.
class Plugin : public nvinfer1::IPluginV3,
               public nvinfer1::IPluginV3OneCore,
               public nvinfer1::IPluginV3OneBuild,
               public nvinfer1::IPluginV3OneRuntime {
public:
    // Reads the fields that `getFieldsToSerialize` adds to the attributes; a node of a graph does not have them.
    Plugin(const char* name, const FieldReader& reader);

    nvinfer1::IPluginCapability* getCapabilityInterface(nvinfer1::PluginCapabilityType type) noexcept final;
    nvinfer1::IPluginV3* clone() noexcept final;

    nvinfer1::AsciiChar const* getPluginName() const noexcept final { return name_.c_str(); }
    nvinfer1::AsciiChar const* getPluginVersion() const noexcept final { return kPluginVersion; }
    nvinfer1::AsciiChar const* getPluginNamespace() const noexcept final { return kNamespace; }

    int32_t getNbOutputs() const noexcept final { return output_count(); }
    int32_t configurePlugin(nvinfer1::DynamicPluginTensorDesc const* in, int32_t inputs,
                            nvinfer1::DynamicPluginTensorDesc const* out, int32_t outputs) noexcept final;
    int32_t getOutputDataTypes(nvinfer1::DataType* out, int32_t outputs, nvinfer1::DataType const* in,
                               int32_t inputs) const noexcept final;
    int32_t getOutputShapes(nvinfer1::DimsExprs const* in, int32_t inputs, nvinfer1::DimsExprs const* shapes,
                            int32_t shape_inputs, nvinfer1::DimsExprs* out, int32_t outputs,
                            nvinfer1::IExprBuilder& builder) noexcept final;
    bool supportsFormatCombination(int32_t position, nvinfer1::DynamicPluginTensorDesc const* all, int32_t inputs,
                                   int32_t outputs) noexcept final;
    size_t getWorkspaceSize(nvinfer1::DynamicPluginTensorDesc const* in, int32_t inputs,
                            nvinfer1::DynamicPluginTensorDesc const* out, int32_t outputs) const noexcept final;
    char const* getTimingCacheID() noexcept final;

    int32_t onShapeChange(nvinfer1::PluginTensorDesc const* in, int32_t inputs, nvinfer1::PluginTensorDesc const* out,
                          int32_t outputs) noexcept final;
    int32_t enqueue(nvinfer1::PluginTensorDesc const* in, nvinfer1::PluginTensorDesc const* out,
                    void const* const* inputs, void* const* outputs, void* workspace,
                    cudaStream_t stream) noexcept final;
    nvinfer1::IPluginV3* attachToContext(nvinfer1::IPluginResourceContext* context) noexcept final;
    nvinfer1::PluginFieldCollection const* getFieldsToSerialize() noexcept final;

protected:
    Plugin(const Plugin&) = default;

    // Returns a copy that TensorRT owns.
    virtual Plugin* copy() const = 0;
    // Returns the number of inputs that the operator takes.
    virtual int32_t input_count() const = 0;
    // Returns the number of outputs.
    virtual int32_t output_count() const { return 1; }
    // Returns the type of an output for these types of the inputs.
    virtual nvinfer1::DataType output_type(int32_t output, const nvinfer1::DataType* in) const = 0;
    // Sets the shapes of the outputs, given that the first input is [N,C,H,W].
    virtual void output_shapes(const nvinfer1::DimsExprs* in, nvinfer1::DimsExprs* out) const = 0;
    // Tells whether the tensor at `position` may have its type and format, given the tensors before it.
    virtual bool supports(int32_t position, const Tensors& tensors) const = 0;
    // Throws a sentence unless the shapes fit together and the kernels exist for them.
    virtual void check(const Tensors& tensors) const = 0;
    // Returns the bytes of workspace for these shapes; larger shapes never need less.
    virtual size_t workspace_bytes(const Tensors& tensors) const = 0;
    // Loads the kernels for these types, formats and channels; batch, height and width may be unknown (-1).
    virtual void load(const Tensors& tensors) = 0;
    // Launches the operator.
    virtual void run(const Tensors& tensors, void const* const* inputs, void* const* outputs, char* workspace,
                     CUstream stream) const = 0;
    // Adds the attributes as fields whose data lives in this plugin.
    virtual void describe(std::vector<nvinfer1::PluginField>& fields) const = 0;
    // Returns the attributes in words; nodes with equal words may share their timings.
    virtual std::string settings() const = 0;

private:
    Tensors built_for() const;
    void require_counts(int32_t inputs, int32_t outputs) const;
    void prepare(const Tensors& tensors);

    std::string name_;
    int32_t serial_version_ = kSerialVersion;
    std::vector<int32_t> kinds_;  // type, format and channels of each tensor that the engine was built for
    bool ready_ = false;          // kernels are loaded for `ready_for_`
    std::vector<int32_t> ready_for_;
    std::string timing_cache_id_;
    std::vector<nvinfer1::PluginField> fields_;
    nvinfer1::PluginFieldCollection collection_{};
};

// Creator of the plugins called `name`. Their class `Operator` has a constructor from (name, FieldReader), and
// `attributes()`, which lists the fields that a node of a graph may carry.
template <typename Operator>
class Creator final : public nvinfer1::IPluginCreatorV3One {
public:
    explicit Creator(const char* name) : name_(name), attributes_(Operator::attributes()) {
        collection_ = {static_cast<int32_t>(attributes_.size()), attributes_.data()};
    }

    // Makes a plugin, which TensorRT owns, from a node's attributes or from an engine's fields. Where they are unusable
    // it logs a sentence and returns null.
    nvinfer1::IPluginV3* createPlugin(nvinfer1::AsciiChar const* node, nvinfer1::PluginFieldCollection const* fields,
                                      nvinfer1::TensorRTPhase) noexcept override {
        const std::string place = std::string(name_) + " " + (node == nullptr ? "" : node) + ": ";
        const nvinfer1::PluginFieldCollection none{0, nullptr};
        try {
            return new Operator(name_, FieldReader(fields == nullptr ? none : *fields));
        } catch (const std::exception& error) {
            log_error(place + error.what());
        } catch (...) {
            log_error(place + "something threw an exception of an unknown kind");
        }
        return nullptr;
    }
    nvinfer1::PluginFieldCollection const* getFieldNames() noexcept override { return &collection_; }
    nvinfer1::AsciiChar const* getPluginName() const noexcept override { return name_; }
    nvinfer1::AsciiChar const* getPluginVersion() const noexcept override { return kPluginVersion; }
    nvinfer1::AsciiChar const* getPluginNamespace() const noexcept override { return kNamespace; }

private:
    const char* name_;
    std::vector<nvinfer1::PluginField> attributes_;
    nvinfer1::PluginFieldCollection collection_{};
};

}  // namespace spair
