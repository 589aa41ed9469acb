// MaskedModulation gives distorted pixels the mean and variance of the clean ones. See README.md.
#include <stdexcept>

#include "../native/creators.h"
#include "../native/plugin.h"

namespace spair {
namespace {

using namespace nvinfer1;

constexpr int32_t kX = 0, kMask = 1, kOut = 2;

constexpr int32_t kLeastBlock = 64;   // pixels of a kernel's smallest block; the workspace is planned for it
constexpr size_t kPartialBytes = 6 * sizeof(float);  // count, mean and squared deviations of clean and of distorted pixels
constexpr size_t kAffineBytes = 2 * sizeof(float);   // scale and shift

class MaskedModulation final : public Plugin {
public:
    MaskedModulation(const char* name, const FieldReader& reader) : Plugin(name, reader), eps_(reader.real("eps", 1e-5f)) {
        if (!(eps_ > 0.0f)) {
            throw std::runtime_error("eps is " + std::to_string(eps_) + ", expected a positive number");
        }
    }

    static std::vector<PluginField> attributes() {
        return {PluginField("eps", nullptr, PluginFieldType::kFLOAT32, 1)};
    }

protected:
    Plugin* copy() const override { return new MaskedModulation(*this); }
    int32_t input_count() const override { return 2; }
    DataType output_type(int32_t, const DataType* in) const override { return in[kX]; }
    void output_shapes(const DimsExprs* in, DimsExprs* out) const override { out[0] = in[kX]; }

    bool supports(int32_t position, const Tensors& tensors) const override {
        const PluginTensorDesc& tensor = tensors[static_cast<size_t>(position)];
        const PluginTensorDesc& x = tensors[kX];
        switch (position) {
            case kX:
                return (tensor.type == DataType::kFLOAT || tensor.type == DataType::kHALF) &&
                       is_picture_format(tensor);
            case kMask: return tensor.type == x.type && tensor.format == TensorFormat::kLINEAR;
            default: return tensor.type == x.type && tensor.format == x.format;
        }
    }

    void check(const Tensors& tensors) const override {
        const Size x = size_of(tensors[kX].dims), mask = size_of(tensors[kMask].dims), out = size_of(tensors[kOut].dims);
        if (mask.batch != x.batch || mask.channels != 1 || mask.height != x.height || mask.width != x.width) {
            throw std::runtime_error("the mask is not [N,1,H,W] of x");
        }
        if (out.batch != x.batch || out.channels != x.channels || out.height != x.height || out.width != x.width) {
            throw std::runtime_error("the output does not have the shape of x");
        }
    }

    size_t workspace_bytes(const Tensors& tensors) const override {
        const Size x = size_of(tensors[kX].dims);
        return partial_bytes(x, divide_up(x.pixels(), kLeastBlock)) + aligned(planes(x) * kAffineBytes);
    }

    void load(const Tensors& tensors) override {
        const std::string type = type_name(tensors[kX].type), layout = layout_name(tensors[kX].format);
        measure_ = load_kernel("masked_moments." + type + "." + layout);
        merge_ = load_kernel("merge_moments");
        apply_ = load_kernel("apply_affine." + type + "." + layout + "." + layout_name(tensors[kOut].format));
        if (measure_.tile(0) < kLeastBlock) {
            throw std::runtime_error("masked_moments works on fewer pixels at once than its workspace was planned for");
        }
    }

    void run(const Tensors& tensors, void const* const* inputs, void* const* outputs, char* workspace,
             CUstream stream) const override {
        const Size x = size_of(tensors[kX].dims);
        const int32_t blocks = divide_up(x.pixels(), measure_.tile(0));
        const int32_t x_pitch = pitch_of(tensors[kX].format, x.channels);
        const int32_t out_pitch = pitch_of(tensors[kOut].format, x.channels);
        const unsigned batch = static_cast<unsigned>(x.batch);
        char* partial = workspace;
        char* affine = partial + partial_bytes(x, blocks);
        launch(measure_, {static_cast<unsigned>(blocks), channel_blocks(x, measure_), batch}, stream,
               {inputs[kX], inputs[kMask], partial, x.pixels(), x.channels, x_pitch, blocks});
        launch(merge_, {static_cast<unsigned>(x.channels), batch, 1}, stream, {partial, affine, blocks, x.channels, eps_});
        const unsigned pixel_blocks = static_cast<unsigned>(divide_up(x.pixels(), apply_.tile(0)));
        launch(apply_, {pixel_blocks, channel_blocks(x, apply_), batch}, stream,
               {inputs[kX], inputs[kMask], affine, outputs[0], x.pixels(), x.channels, x_pitch, out_pitch});
    }

    void describe(std::vector<PluginField>& fields) const override {
        fields.emplace_back("eps", &eps_, PluginFieldType::kFLOAT32, 1);
    }

    std::string settings() const override { return "eps " + exact(eps_); }

private:
    static size_t planes(const Size& x) { return static_cast<size_t>(x.batch) * static_cast<size_t>(x.channels); }

    static size_t partial_bytes(const Size& x, int32_t blocks) {
        return aligned(planes(x) * static_cast<size_t>(blocks) * kPartialBytes);
    }

    static unsigned channel_blocks(const Size& x, const Kernel& kernel) {
        return static_cast<unsigned>(divide_up(x.channels, kernel.tile(1)));
    }

    float eps_;
    Kernel measure_, merge_, apply_;
};

}  // namespace

Creators masked_modulation_creators() {
    static Creator<MaskedModulation> creator("MaskedModulation");
    return {&creator};
}

}  // namespace spair
