// SparseConv2d and its forms: a residual is added (…Add), input and weights are INT8 (…Int8…), or the weights are INT8
// and the input becomes INT8 as it is gathered (…Quantize…). See README.md.
#include <stdexcept>

#include "../native/compaction.h"
#include "../native/creators.h"
#include "../native/plugin.h"

namespace spair {
namespace {

using namespace nvinfer1;

// Positions of the inputs. A residual comes after all other inputs, and the output last.
constexpr int32_t kX = 0, kMask = 1, kWeight = 2, kBias = 3, kXScale = 4, kWeightScale = 5;

// Types of x and of the numbers that are multiplied.
enum class Values {
    kFloat,     // both are FP32 or FP16
    kInt8,      // both are INT8
    kQuantize,  // x is FP32 or FP16, the weights are INT8
};

constexpr int32_t kChannelStep = 16;  // output channels of packed weights are padded to a multiple of this
constexpr int32_t kInt8Step = 32;     // input channels of packed INT8 weights are padded to a multiple of this

class SparseConv2d : public Plugin {
public:
    SparseConv2d(const char* name, Values kind, bool residual, const FieldReader& reader)
        : Plugin(name, reader),
          x_int8_(kind == Values::kInt8),
          int8_(kind != Values::kFloat),
          residual_(residual),
          negative_slope_(reader.real("negative_slope", 1.0f)),
          clean_input_(reader.real("clean_input", 0.0f)),
          clear_output_(reader.integer("clear_output", 1)),
          pads_(reader.integers("pads")),
          dilations_(reader.integers("dilations")) {
        if (dilations_.empty()) {
            dilations_ = {1, 1};
        }
        if (dilations_.size() != 2 || dilations_[0] != dilations_[1] || dilations_[0] < 1) {
            throw std::runtime_error("dilations are not two equal positive numbers; other dilations have no kernel");
        }
        if (!pads_.empty() && (pads_.size() != 4 || pads_[0] != pads_[1] || pads_[0] != pads_[2] || pads_[0] != pads_[3])) {
            throw std::runtime_error("pads are not four equal numbers; the output has the input's size");
        }
    }

    static std::vector<PluginField> attributes() {
        return {PluginField("pads", nullptr, PluginFieldType::kINT32, 4),
                PluginField("dilations", nullptr, PluginFieldType::kINT32, 2),
                PluginField("negative_slope", nullptr, PluginFieldType::kFLOAT32, 1),
                PluginField("clean_input", nullptr, PluginFieldType::kFLOAT32, 1),
                PluginField("clear_output", nullptr, PluginFieldType::kINT32, 1)};
    }

protected:
    SparseConv2d(const SparseConv2d&) = default;

    Plugin* copy() const override { return new SparseConv2d(*this); }
    int32_t input_count() const override { return (int8_ ? 6 : 4) + (residual_ ? 1 : 0); }
    DataType output_type(const DataType* in) const override { return in[kMask]; }
    const IDimensionExpr* output_channels(const DimsExprs* in) const override { return in[kWeight].d[0]; }

    bool supports(int32_t position, const Tensors& tensors) const override {
        const PluginTensorDesc& tensor = tensors[static_cast<size_t>(position)];
        const PluginTensorDesc& x = tensors[kX];
        const bool linear = tensor.format == TensorFormat::kLINEAR;
        switch (position) {
            case kX: {
                const bool type = x_int8_ ? tensor.type == DataType::kINT8
                                          : tensor.type == DataType::kFLOAT || tensor.type == DataType::kHALF;
                return type && is_picture_format(tensor);
            }
            case kMask:
                return linear && (x_int8_ ? tensor.type == DataType::kFLOAT || tensor.type == DataType::kHALF
                                          : tensor.type == x.type);
            case kWeight: return linear && tensor.type == (int8_ ? DataType::kINT8 : x.type);
            case kBias: return linear && tensor.type == tensors[kMask].type;
            default: break;
        }
        if (int8_ && (position == kXScale || position == kWeightScale)) {
            return linear && tensor.type == DataType::kFLOAT;
        }
        return tensor.type == tensors[kMask].type && tensor.format == output_format(x.format, tensor.type);
    }

    void check(const Tensors& tensors) const override {
        const Size x = size_of(tensors[kX].dims), mask = size_of(tensors[kMask].dims);
        const Size weight = size_of(tensors[kWeight].dims), out = size_of(tensors.back().dims);
        require(mask.batch == x.batch && mask.channels == 1 && mask.height == x.height && mask.width == x.width,
                "the mask is not [N,1,H,W] of x");
        require(weight.channels == x.channels, "the weights do not have the channels of x");
        require(weight.height == weight.width && weight.height % 2 == 1 && weight.height <= 5,
                "the kernel is not 1x1, 3x3 or 5x5");
        require(pads_.empty() || pads_[0] == dilations_[0] * (weight.height / 2),
                "pads do not keep the size: they must be dilation * (k - 1) / 2");
        require(values(tensors[kBias]) == weight.batch, "the bias does not have one value per output channel");
        require(out.batch == x.batch && out.channels == weight.batch && out.height == x.height && out.width == x.width,
                "the output is not [N,D,H,W]");
        if (int8_) {
            require(values(tensors[kXScale]) == 1, "x has more than one scale");
            require(values(tensors[kWeightScale]) == weight.batch, "the weights do not have one scale per output channel");
        }
        if (residual_) {
            const Size residual = size_of(tensors[tensors.size() - 2].dims);
            require(residual.batch == out.batch && residual.channels == out.channels && residual.height == out.height &&
                        residual.width == out.width,
                    "the residual does not have the output's shape");
        }
    }

    size_t workspace_bytes(const Tensors& tensors) const override {
        const Size weight = size_of(tensors[kWeight].dims);
        return packed_bytes(weight, tensors[kWeight].type) + scale_bytes(weight) + 
               active_pixels_bytes(size_of(tensors[kMask].dims), weight.height > 1);
    }

    void load(const Tensors& tensors) override {
        const std::string x = type_name(tensors[kX].type), weight = type_name(tensors[kWeight].type);
        const std::string out = type_name(tensors.back().type);
        const std::string types = x + "." + weight + "." + out;
        const std::string layouts = layout_name(tensors[kX].format) + "." + layout_name(tensors.back().format);
        const std::string layer = layer_variant(types, tensors);
        pack_ = load_kernel("pack_weight." + weight);
        by_layer_ = layouts != "linear.linear" && !layer.empty() && has_kernel(layer) &&
                    (window() == 1 || has_kernel(neighbours_variant(tensors[kMask].type, window())));
        convolve_ = load_kernel(by_layer_ ? layer : "sparse_conv2d." + types + "." + layouts);
        compact_ = by_layer_ && window() > 1 ? load_kernel(neighbours_variant(tensors[kMask].type, window()))
                                             : load_compaction(tensors[kMask].type);
        if (int8_) {
            combine_ = load_kernel("combine_scales");
        }
        processors_ = multiprocessors();
    }

    void run(const Tensors& tensors, void const* const* inputs, void* output, char* workspace,
             CUstream stream) const override {
        const Size x = size_of(tensors[kX].dims), weight = size_of(tensors[kWeight].dims);
        const Size out{x.batch, weight.batch, x.height, x.width};
        const PluginTensorDesc& to = tensors.back();
        char* packed = workspace;
        char* scales = packed + packed_bytes(weight, tensors[kWeight].type);
        char* lists = scales + scale_bytes(weight);
        pack(weight, inputs[kWeight], packed, stream);
        if (int8_) {
            const unsigned blocks = static_cast<unsigned>(divide_up(weight.batch, combine_.tile(0)));
            launch(combine_, {blocks, 1, 1}, stream, {inputs[kXScale], inputs[kWeightScale], scales, weight.batch});
        }
        const Size mask{x.batch, 1, x.height, x.width};
        const Window taps{weight.height, dilations_[0], clean_input_ != 0.0f};
        const ActivePixels active = by_layer_ && weight.height > 1
                                        ? find_neighbours(compact_, inputs[kMask], mask, taps, lists, stream)
                                        : find_active_pixels(compact_, inputs[kMask], mask, lists, stream);
        if (clear_output_ != 0) {
            clear(output, bytes_of(out, to.type, to.format), stream);
        }
        const std::array<unsigned, 3> grid{blocks_for(x.pixels(), convolve_.tile(0), processors_),
                                           static_cast<unsigned>(divide_up(out.channels, convolve_.tile(1))),
                                           static_cast<unsigned>(x.batch)};
        const void* residual = residual_ ? inputs[input_count() - 1] : output;
        const void* x_scale = int8_ ? inputs[kXScale] : scales;  // kernels without INT8 do not read it
        if (by_layer_) {
            const void* readable = active.taps == nullptr ? active.index : active.taps;  // a window of one tap reads none
            launch(convolve_, grid, stream,
                   {inputs[kX], readable, active.index, active.count, packed, inputs[kBias], x_scale, scales, residual, output,
                    x.height, x.width, dilations_[0], residual_ ? 1 : 0, negative_slope_});
            return;
        }
        launch(convolve_, grid, stream,
               {inputs[kX], inputs[kMask], active.index, active.count, packed, inputs[kBias], x_scale, scales, residual, output,
                x.height, x.width, x.channels, out.channels, packed_channels(weight),
                pitch_of(tensors[kX].format, x.channels), pitch_of(to.format, out.channels), weight.height, dilations_[0],
                clean_input_ != 0.0f ? 1 : 0, residual_ ? 1 : 0, negative_slope_});
    }

    void describe(std::vector<PluginField>& fields) const override {
        if (!pads_.empty()) {
            fields.emplace_back("pads", pads_.data(), PluginFieldType::kINT32, 4);
        }
        fields.emplace_back("dilations", dilations_.data(), PluginFieldType::kINT32, 2);
        fields.emplace_back("negative_slope", &negative_slope_, PluginFieldType::kFLOAT32, 1);
        fields.emplace_back("clean_input", &clean_input_, PluginFieldType::kFLOAT32, 1);
        fields.emplace_back("clear_output", &clear_output_, PluginFieldType::kINT32, 1);
    }

    std::string settings() const override {
        return "dilation " + std::to_string(dilations_[0]) + ", slope " + exact(negative_slope_) + ", clean input " +
               exact(clean_input_) + ", clear output " + std::to_string(clear_output_);
    }

private:
    static void require(bool holds, const char* problem) {
        if (!holds) {
            throw std::runtime_error(problem);
        }
    }

    static int64_t values(const PluginTensorDesc& tensor) {
        int64_t count = 1;
        for (int32_t i = 0; i < tensor.dims.nbDims; ++i) {
            count *= static_cast<int64_t>(tensor.dims.d[i]);
        }
        return count;
    }

    static TensorFormat output_format(TensorFormat x, DataType type) {
        return x == TensorFormat::kLINEAR ? TensorFormat::kLINEAR : pixel_format(type);
    }

    static int32_t packed_channels(const Size& weight) { return kChannelStep * divide_up(weight.batch, kChannelStep); }

    // Returns the side of the window in taps, or 0 where the node does not say it.
    int32_t window() const { return pads_.empty() ? 0 : 2 * (pads_[0] / dilations_[0]) + 1; }

    // Returns the name of the kernel for a layer of these sizes, which the library may have, or "" where they are unknown.
    std::string layer_variant(const std::string& types, const Tensors& tensors) const {
        return window() == 0 ? "" : "convolve_layer." + types + ".k" + std::to_string(window()) + ".c" +
                                        std::to_string(tensors[kX].dims.d[1]) + ".d" +
                                        std::to_string(tensors.back().dims.d[1]);
    }

    int32_t packed_values(const Size& weight) const {
        const int32_t channels = int8_ ? kInt8Step * divide_up(weight.channels, kInt8Step) : weight.channels;
        return weight.height * weight.width * channels * packed_channels(weight);
    }

    size_t packed_bytes(const Size& weight, DataType type) const {
        return aligned(static_cast<size_t>(packed_values(weight)) * type_bytes(type));
    }

    size_t scale_bytes(const Size& weight) const {
        return int8_ ? aligned(static_cast<size_t>(weight.batch) * sizeof(float)) : 0;
    }

    void pack(const Size& weight, const void* from, void* to, CUstream stream) const {
        const unsigned blocks = static_cast<unsigned>(divide_up(packed_values(weight), pack_.tile(0)));
        launch(pack_, {blocks, 1, 1}, stream,
               {from, to, weight.channels, weight.batch, weight.height * weight.width, packed_channels(weight)});
    }

    bool x_int8_, int8_, residual_;  // whether x is INT8, whether the products are INT8, whether a residual is added
    float negative_slope_, clean_input_;
    int32_t clear_output_;  // 0: no later node reads the output's clean pixels, so they need not become zero
    std::vector<int32_t> pads_, dilations_;
    Kernel compact_, pack_, combine_, convolve_;
    bool by_layer_ = false;  // `convolve_` is the kernel of this layer's sizes
    int32_t processors_ = 1;
};

template <Values kind, bool residual>
class Form final : public SparseConv2d {
public:
    Form(const char* name, const FieldReader& reader) : SparseConv2d(name, kind, residual, reader) {}

protected:
    Plugin* copy() const override { return new Form(*this); }
};

}  // namespace

IPluginCreatorInterface* sparse_conv2d_creator() {
    static Creator<Form<Values::kFloat, false>> creator("SparseConv2d");
    return &creator;
}

IPluginCreatorInterface* sparse_conv2d_add_creator() {
    static Creator<Form<Values::kFloat, true>> creator("SparseConv2dAdd");
    return &creator;
}

IPluginCreatorInterface* sparse_conv2d_int8_creator() {
    static Creator<Form<Values::kInt8, false>> creator("SparseConv2dInt8");
    return &creator;
}

IPluginCreatorInterface* sparse_conv2d_int8_add_creator() {
    static Creator<Form<Values::kInt8, true>> creator("SparseConv2dInt8Add");
    return &creator;
}

IPluginCreatorInterface* sparse_conv2d_quantize_creator() {
    static Creator<Form<Values::kQuantize, false>> creator("SparseConv2dQuantize");
    return &creator;
}

IPluginCreatorInterface* sparse_conv2d_quantize_add_creator() {
    static Creator<Form<Values::kQuantize, true>> creator("SparseConv2dQuantizeAdd");
    return &creator;
}

}  // namespace spair
