#include "plugin.h"

#include <algorithm>
#include <limits>
#include <stdexcept>

namespace spair {

using namespace nvinfer1;

namespace {

constexpr int32_t kOk = 0;
constexpr int32_t kFailed = -1;
constexpr size_t kNumbersPerKind = 3;

// Returns the tensors of a call whose sizes are still open, with their largest shapes.
Tensors largest(DynamicPluginTensorDesc const* in, int32_t inputs, DynamicPluginTensorDesc const* out, int32_t outputs) {
    Tensors tensors;
    for (int32_t i = 0; i < inputs + outputs; ++i) {
        const DynamicPluginTensorDesc& tensor = i < inputs ? in[i] : out[i - inputs];
        tensors.push_back(tensor.desc);
        tensors.back().dims = tensor.max;
    }
    return tensors;
}

Tensors join(PluginTensorDesc const* in, int32_t inputs, PluginTensorDesc const* out, int32_t outputs) {
    Tensors tensors(in, in + inputs);
    tensors.insert(tensors.end(), out, out + outputs);
    return tensors;
}

std::vector<int32_t> kinds_of(const Tensors& tensors) {
    std::vector<int32_t> kinds;
    for (const PluginTensorDesc& tensor : tensors) {
        const int32_t channels = tensor.dims.nbDims > 1 ? static_cast<int32_t>(tensor.dims.d[1]) : 0;
        kinds.insert(kinds.end(), {static_cast<int32_t>(tensor.type), static_cast<int32_t>(tensor.format), channels});
    }
    return kinds;
}

// Returns the result of `call`. On an exception it logs a sentence and returns `failed`: none may reach TensorRT.
template <typename Result, typename Call>
Result guarded(const std::string& name, Result failed, Call&& call) noexcept {
    try {
        return call();
    } catch (const std::exception& error) {
        log_error(name + ": " + error.what());
    } catch (...) {
        log_error(name + ": something threw an exception of an unknown kind");
    }
    return failed;
}

}  // namespace

Plugin::Plugin(const char* name, const FieldReader& reader) : name_(name), kinds_(reader.integers("kinds")) {
    const int32_t version = reader.integer("serial_version", kSerialVersion);
    if (version != kSerialVersion) {
        throw std::runtime_error("the engine was built with version " + std::to_string(version) +
                                 " of the spair plugins' fields, this library reads version " +
                                 std::to_string(kSerialVersion) + "; build the engine again");
    }
    if (kinds_.size() % kNumbersPerKind != 0) {
        throw std::runtime_error("the engine's field \"kinds\" is damaged; build the engine again");
    }
}

IPluginCapability* Plugin::getCapabilityInterface(PluginCapabilityType type) noexcept {
    switch (type) {
        case PluginCapabilityType::kCORE: return static_cast<IPluginV3OneCore*>(this);
        case PluginCapabilityType::kBUILD: return static_cast<IPluginV3OneBuild*>(this);
        case PluginCapabilityType::kRUNTIME: return static_cast<IPluginV3OneRuntime*>(this);
    }
    return nullptr;
}

IPluginV3* Plugin::clone() noexcept {
    return guarded<IPluginV3*>(name_, nullptr, [&] { return copy(); });
}

int32_t Plugin::configurePlugin(DynamicPluginTensorDesc const* in, int32_t inputs, DynamicPluginTensorDesc const* out,
                                int32_t outputs) noexcept {
    return guarded(name_, kFailed, [&] {
        require_counts(inputs, outputs);
        const Tensors tensors = largest(in, inputs, out, outputs);
        workspace_bytes(tensors);  // throws where the largest shapes have too many pixels: the build fails here
        kinds_ = kinds_of(tensors);
        return kOk;
    });
}

int32_t Plugin::getOutputDataTypes(DataType* out, int32_t outputs, DataType const* in, int32_t inputs) const noexcept {
    return guarded(name_, kFailed, [&] {
        require_counts(inputs, outputs);
        for (int32_t i = 0; i < outputs; ++i) {
            out[i] = output_type(i, in);
        }
        return kOk;
    });
}

int32_t Plugin::getOutputShapes(DimsExprs const* in, int32_t inputs, DimsExprs const*, int32_t, DimsExprs* out,
                                int32_t outputs, IExprBuilder&) noexcept {
    return guarded(name_, kFailed, [&] {
        require_counts(inputs, outputs);
        if (in[0].nbDims != 4) {
            throw std::runtime_error("the first input has " + std::to_string(in[0].nbDims) +
                                     " dimensions, expected [N,C,H,W]");
        }
        output_shapes(in, out);
        return kOk;
    });
}

bool Plugin::supportsFormatCombination(int32_t position, DynamicPluginTensorDesc const* all, int32_t inputs,
                                       int32_t outputs) noexcept {
    return guarded(name_, false, [&] {
        require_counts(inputs, outputs);
        Tensors tensors;
        for (int32_t i = 0; i <= position; ++i) {
            tensors.push_back(all[i].desc);
        }
        return supports(position, tensors);
    });
}

size_t Plugin::getWorkspaceSize(DynamicPluginTensorDesc const* in, int32_t inputs, DynamicPluginTensorDesc const* out,
                                int32_t outputs) const noexcept {
    // More than any device has: TensorRT then has no implementation, and runs nothing without its workspace.
    constexpr size_t kImpossible = std::numeric_limits<size_t>::max();
    return guarded<size_t>(name_, kImpossible, [&] { return workspace_bytes(largest(in, inputs, out, outputs)); });
}

char const* Plugin::getTimingCacheID() noexcept {
    return guarded<char const*>(name_, nullptr, [&] {
        timing_cache_id_ = name_ + "/" + library_version + "/" + kernel_digest + "/" + settings();
        return timing_cache_id_.c_str();
    });
}

int32_t Plugin::onShapeChange(PluginTensorDesc const* in, int32_t inputs, PluginTensorDesc const* out,
                              int32_t outputs) noexcept {
    return guarded(name_, kFailed, [&] {
        require_counts(inputs, outputs);
        const Tensors tensors = join(in, inputs, out, outputs);
        check(tensors);
        prepare(tensors);
        return kOk;
    });
}

int32_t Plugin::enqueue(PluginTensorDesc const* in, PluginTensorDesc const* out, void const* const* inputs,
                        void* const* outputs, void* workspace, cudaStream_t stream) noexcept {
    return guarded(name_, kFailed, [&] {
        const Tensors tensors = join(in, input_count(), out, output_count());
        if (is_empty(out[0].dims)) {
            return kOk;  // grids of no blocks are errors, and addresses may be null
        }
        prepare(tensors);
        run(tensors, inputs, outputs, static_cast<char*>(workspace), reinterpret_cast<CUstream>(stream));
        return kOk;
    });
}

IPluginV3* Plugin::attachToContext(IPluginResourceContext*) noexcept {
    return guarded<IPluginV3*>(name_, nullptr, [&] {
        Plugin* attached = copy();
        attached->ready_ = false;  // another context may be current
        if (!kinds_.empty()) {
            try {
                attached->prepare(built_for());
            } catch (...) {
                delete attached;
                throw;
            }
        }
        return attached;
    });
}

PluginFieldCollection const* Plugin::getFieldsToSerialize() noexcept {
    return guarded<PluginFieldCollection const*>(name_, nullptr, [&] {
        fields_.clear();
        fields_.emplace_back("serial_version", &serial_version_, PluginFieldType::kINT32, 1);
        if (!kinds_.empty()) {
            fields_.emplace_back("kinds", kinds_.data(), PluginFieldType::kINT32, static_cast<int32_t>(kinds_.size()));
        }
        describe(fields_);
        collection_ = {static_cast<int32_t>(fields_.size()), fields_.data()};
        return &collection_;
    });
}

// Returns tensors with the types, formats and channels that the engine was built for.
Tensors Plugin::built_for() const {
    Tensors tensors;
    for (size_t i = 0; i + kNumbersPerKind <= kinds_.size(); i += kNumbersPerKind) {
        PluginTensorDesc tensor{};
        tensor.type = static_cast<DataType>(kinds_[i]);
        tensor.format = static_cast<TensorFormat>(kinds_[i + 1]);
        tensor.dims.nbDims = 4;
        tensor.dims.d[0] = tensor.dims.d[2] = tensor.dims.d[3] = -1;
        tensor.dims.d[1] = kinds_[i + 2];
        tensors.push_back(tensor);
    }
    require_counts(static_cast<int32_t>(tensors.size()) - output_count(), output_count());
    return tensors;
}

void Plugin::require_counts(int32_t inputs, int32_t outputs) const {
    if (inputs != input_count() || outputs != output_count()) {
        throw std::runtime_error("the node has " + std::to_string(inputs) + " inputs and " + std::to_string(outputs) +
                                 " outputs, expected " + std::to_string(input_count()) + " and " +
                                 std::to_string(output_count()));
    }
}

void Plugin::prepare(const Tensors& tensors) {
    std::vector<int32_t> kinds = kinds_of(tensors);
    if (!ready_ || kinds != ready_for_) {
        load(tensors);
        ready_for_ = std::move(kinds);
        ready_ = true;
    }
}

}  // namespace spair
