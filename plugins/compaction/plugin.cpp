// SparseIndex lists the active pixels of a mask and their readable taps, once for all operators under the mask. See
// README.md.
#include <stdexcept>

#include "../native/compaction.h"
#include "../native/creators.h"
#include "../native/plugin.h"

namespace spair {
namespace {

using namespace nvinfer1;

constexpr int32_t kMask = 0, kIndex = 1, kTaps = 2, kCount = 3;

class SparseIndex final : public Plugin {
public:
    SparseIndex(const char* name, const FieldReader& reader) : Plugin(name, reader) {}

    static std::vector<PluginField> attributes() { return {}; }

protected:
    Plugin* copy() const override { return new SparseIndex(*this); }
    int32_t input_count() const override { return 1; }
    int32_t output_count() const override { return 3; }
    DataType output_type(int32_t, const DataType*) const override { return DataType::kINT32; }
    void output_shapes(const DimsExprs* in, DimsExprs* out) const override {
        out[kIndex - 1] = out[kTaps - 1] = in[kMask];
        out[kCount - 1].nbDims = 1;
        out[kCount - 1].d[0] = in[kMask].d[0];
    }

    bool supports(int32_t position, const Tensors& tensors) const override {
        const PluginTensorDesc& tensor = tensors[static_cast<size_t>(position)];
        const bool type = position == kMask ? tensor.type == DataType::kFLOAT || tensor.type == DataType::kHALF
                                            : tensor.type == DataType::kINT32;
        return type && tensor.format == TensorFormat::kLINEAR;
    }

    void check(const Tensors& tensors) const override {
        const Size mask = size_of(tensors[kMask].dims);
        const Dims& count = tensors[kCount].dims;
        if (mask.channels != 1) {
            throw std::runtime_error("the mask is not [N,1,H,W]");
        }
        if (!is_list_of(mask, tensors[kIndex].dims, count) || !is_list_of(mask, tensors[kTaps].dims, count)) {
            throw std::runtime_error("the outputs are not [N,1,H,W], [N,1,H,W] and [N]");
        }
    }

    size_t workspace_bytes(const Tensors& tensors) const override {
        size_of(tensors[kMask].dims);  // throws where there are too many pixels
        return 0;
    }

    void load(const Tensors& tensors) override { list_ = load_kernel(neighbours_variant(tensors[kMask].type, kIndexed)); }

    void run(const Tensors& tensors, void const* const* inputs, void* const* outputs, char*,
             CUstream stream) const override {
        const Size mask = size_of(tensors[kMask].dims);
        list_neighbours(list_, inputs[kMask], mask, {kIndexed, 1, false}, static_cast<int32_t*>(outputs[kIndex - 1]),
                        static_cast<int32_t*>(outputs[kTaps - 1]), static_cast<int32_t*>(outputs[kCount - 1]), stream);
    }

    void describe(std::vector<PluginField>&) const override {}
    std::string settings() const override { return "3x3"; }

private:
    Kernel list_;
};

}  // namespace

Creators sparse_index_creators() {
    static Creator<SparseIndex> creator("SparseIndex");
    return {&creator};
}

}  // namespace spair
