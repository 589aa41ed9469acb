// SparseCompose adds the residual to distorted pixels and leaves clean ones as they are. See README.md.
#include <stdexcept>

#include "../native/creators.h"
#include "../native/plugin.h"

namespace spair {
namespace {

using namespace nvinfer1;

constexpr int32_t kPicture = 0, kResidual = 1, kMask = 2, kOut = 3;

class SparseCompose final : public Plugin {
public:
    SparseCompose(const char* name, const FieldReader& reader)
        : Plugin(name, reader), low_(reader.real("low", 0.0f)), high_(reader.real("high", 1.0f)) {
        if (!(low_ <= high_)) {
            throw std::runtime_error("low is " + std::to_string(low_) + ", expected at most high, " + std::to_string(high_));
        }
    }

    static std::vector<PluginField> attributes() {
        return {PluginField("low", nullptr, PluginFieldType::kFLOAT32, 1),
                PluginField("high", nullptr, PluginFieldType::kFLOAT32, 1)};
    }

protected:
    Plugin* copy() const override { return new SparseCompose(*this); }
    int32_t input_count() const override { return 3; }
    DataType output_type(int32_t, const DataType* in) const override { return in[kPicture]; }
    void output_shapes(const DimsExprs* in, DimsExprs* out) const override { out[0] = in[kPicture]; }

    bool supports(int32_t position, const Tensors& tensors) const override {
        const PluginTensorDesc& tensor = tensors[static_cast<size_t>(position)];
        if (position == kResidual) {
            return (tensor.type == DataType::kFLOAT || tensor.type == DataType::kHALF) && is_picture_format(tensor);
        }
        const DataType type = position == kMask ? tensors[kResidual].type : DataType::kFLOAT;
        return tensor.type == type && tensor.format == TensorFormat::kLINEAR;
    }

    void check(const Tensors& tensors) const override {
        const Size picture = size_of(tensors[kPicture].dims), mask = size_of(tensors[kMask].dims);
        if (mask.channels != 1 || !same_place(mask, picture)) {
            throw std::runtime_error("the mask is not [N,1,H,W] of the picture");
        }
        for (const int32_t position : {kResidual, kOut}) {
            const Size size = size_of(tensors[static_cast<size_t>(position)].dims);
            if (size.channels != picture.channels || !same_place(size, picture)) {
                throw std::runtime_error(position == kOut ? "the output does not have the shape of the picture"
                                                          : "the residual does not have the shape of the picture");
            }
        }
    }

    size_t workspace_bytes(const Tensors& tensors) const override {
        size_of(tensors[kPicture].dims);  // throws where there are too many pixels
        return 0;
    }

    void load(const Tensors& tensors) override {
        const PluginTensorDesc& residual = tensors[kResidual];
        compose_ = load_kernel("compose_pixels.fp32." + type_name(residual.type) + ".fp32." + layout_name(residual.format));
    }

    void run(const Tensors& tensors, void const* const* inputs, void* const* outputs, char*, CUstream stream) const override {
        const Size picture = size_of(tensors[kPicture].dims);
        const std::array<unsigned, 3> grid{static_cast<unsigned>(divide_up(picture.pixels(), compose_.tile(0))),
                                           static_cast<unsigned>(divide_up(picture.channels, compose_.tile(1))),
                                           static_cast<unsigned>(picture.batch)};
        launch(compose_, grid, stream,
               {inputs[kPicture], inputs[kResidual], inputs[kMask], outputs[0], picture.pixels(), picture.channels,
                pitch_of(tensors[kResidual].format, picture.channels), low_, high_});
    }

    void describe(std::vector<PluginField>& fields) const override {
        fields.emplace_back("low", &low_, PluginFieldType::kFLOAT32, 1);
        fields.emplace_back("high", &high_, PluginFieldType::kFLOAT32, 1);
    }

    std::string settings() const override { return "limits " + exact(low_) + " " + exact(high_); }

private:
    static bool same_place(const Size& a, const Size& b) {
        return a.batch == b.batch && a.height == b.height && a.width == b.width;
    }

    float low_, high_;
    Kernel compose_;
};

}  // namespace

Creators sparse_compose_creators() {
    static Creator<SparseCompose> creator("SparseCompose");
    return {&creator};
}

}  // namespace spair
