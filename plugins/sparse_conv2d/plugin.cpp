// SparseConv2d and its forms: a residual is added (…Add), input and weights are INT8 (…Int8…), or the weights are INT8
// and the input becomes INT8 as it is gathered (…Quantize…). Forms …Listed take the list of active pixels, packed weights
// and multiplied scales, so that they launch one kernel; …JoinListed take x in two tensors; …ToInt8Listed give the output
// as INT8, …ToBothListed as it is and as INT8. See README.md.
#include <memory>
#include <stdexcept>

#include "../native/compaction.h"
#include "../native/creators.h"
#include "../native/plugin.h"

namespace spair {
namespace {

using namespace nvinfer1;

// Positions of the inputs. Then come index, taps and count of a list, then a residual or joined channels, and the outputs last. Listed forms
// have the products of both scales at the place of the weights'.
constexpr int32_t kX = 0, kMask = 1, kWeight = 2, kBias = 3, kXScale = 4, kWeightScale = 5;

// Types of x and of the numbers that are multiplied.
enum class Values {
    kFloat,     // both are FP32 or FP16
    kInt8,      // both are INT8
    kQuantize,  // x is FP32 or FP16, the weights are INT8
};

constexpr int32_t kChannelStep = 16;  // output channels of packed weights are padded to a multiple of this
constexpr int32_t kCoarseStep = 8;    // output channels are a multiple of this where the residual is coarse
constexpr int32_t kJoinStep = 8;      // channels that others are joined to are a multiple of this
constexpr int32_t kInt8Step = 32;     // input channels of packed INT8 weights are padded to a multiple of this

// What is added after the activation: nothing, a picture of the output's size, or one of half the size that has the
// output's channels for each of the four pixels that its pixels cover. Or the last input has further channels of x.
enum class Residual { kNone, kSame, kCoarse, kJoined };

// Types in which the output is given; the kernels have these numbers for them.
enum class Gives { kFloat, kInt8, kBoth };

// What distinguishes a form.
struct Traits {
    Values kind;
    Residual residual;
    Gives gives;
    bool listed;
};

// Reads a form's name.
Traits traits_of(const std::string& name) {
    const auto has = [&](const char* part) { return name.find(part) != std::string::npos; };
    const auto begins = [&](const char* part) { return name.rfind(part, 0) == 0; };
    return {begins("SparseConv2dInt8") ? Values::kInt8 : begins("SparseConv2dQuantize") ? Values::kQuantize : Values::kFloat,
            has("AddUp") ? Residual::kCoarse : has("Add") ? Residual::kSame : has("Join") ? Residual::kJoined : Residual::kNone,
            has("ToInt8") ? Gives::kInt8 : has("ToBoth") ? Gives::kBoth : Gives::kFloat,
            has("Listed")};
}

// Sizes of weights [D,C,k,k], or of packed ones: [k,k,C,D'] and in INT8 [k,k,D',C''], see README.md.
struct Weights {
    int32_t kernel, channels, outputs;
};

// What a convolution works through, from its inputs or from its workspace.
struct Sources {
    const void *packed, *scales;
    ActivePixels active;
    int32_t first_bit;  // of the words of taps
};

class SparseConv2d : public Plugin {
public:
    SparseConv2d(const char* name, const FieldReader& reader) : SparseConv2d(name, traits_of(name), reader) {}

    SparseConv2d(const char* name, const Traits& traits, const FieldReader& reader)
        : Plugin(name, reader),
          x_int8_(traits.kind == Values::kInt8),
          int8_(traits.kind != Values::kFloat),
          residual_(traits.residual == Residual::kSame || traits.residual == Residual::kCoarse),
          joined_(traits.residual == Residual::kJoined),
          coarse_(traits.residual == Residual::kCoarse),
          listed_(traits.listed),
          gives_(traits.gives),
          negative_slope_(reader.real("negative_slope", 1.0f)),
          sum_slope_(reader.real("sum_slope", 1.0f)),
          out_scale_(reader.real("out_scale", 0.0f)),
          clean_input_(reader.real("clean_input", 0.0f)),
          clear_output_(reader.integer("clear_output", 1)),
          pads_(reader.integers("pads")),
          dilations_(reader.integers("dilations")),
          tiling_(reader.text("tiling")) {
        if (dilations_.empty()) {
            dilations_ = {1, 1};
        }
        if (dilations_.size() != 2 || dilations_[0] != dilations_[1] || dilations_[0] < 1) {
            throw std::runtime_error("dilations are not two equal positive numbers; other dilations have no kernel");
        }
        if (gives_ != Gives::kFloat && !(out_scale_ > 0.0f)) {
            throw std::runtime_error("out_scale is not a positive number, and the output cannot be quantized without it");
        }
        if (listed_ && (dilations_[0] != 1 || pads_.empty() || pads_[0] > kIndexed / 2)) {
            throw std::runtime_error("lists of active pixels are for windows of 1x1 and 3x3 without dilation");
        }
        if (!pads_.empty() && (pads_.size() != 4 || pads_[0] != pads_[1] || pads_[0] != pads_[2] || pads_[0] != pads_[3])) {
            throw std::runtime_error("pads are not four equal numbers; the output has the input's size");
        }
    }

    static std::vector<PluginField> attributes() {
        return {PluginField("pads", nullptr, PluginFieldType::kINT32, 4),
                PluginField("dilations", nullptr, PluginFieldType::kINT32, 2),
                PluginField("negative_slope", nullptr, PluginFieldType::kFLOAT32, 1),
                PluginField("sum_slope", nullptr, PluginFieldType::kFLOAT32, 1),
                PluginField("out_scale", nullptr, PluginFieldType::kFLOAT32, 1),
                PluginField("clean_input", nullptr, PluginFieldType::kFLOAT32, 1),
                PluginField("clear_output", nullptr, PluginFieldType::kINT32, 1),
                PluginField("tiling", nullptr, PluginFieldType::kCHAR, 1)};
    }

protected:
    SparseConv2d(const SparseConv2d&) = default;

    Plugin* copy() const override { return new SparseConv2d(*this); }
    int32_t input_count() const override { return list() + (listed_ ? 3 : 0) + (residual_ || joined_ ? 1 : 0); }
    int32_t output_count() const override { return gives_ == Gives::kBoth ? 2 : 1; }
    DataType output_type(int32_t output, const DataType* in) const override {
        return is_int8(output) ? DataType::kINT8 : in[kMask];
    }
    void output_shapes(const DimsExprs* in, DimsExprs* out) const override {
        for (int32_t i = 0; i < output_count(); ++i) {
            out[i] = in[0];
            out[i].d[1] = listed_ ? in[kBias].d[0] : in[kWeight].d[0];
        }
    }

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
        if (listed_ && position < list() + 3) {
            return linear && tensor.type == DataType::kINT32;
        }
        const bool steps = position >= input_count() && is_int8(position - input_count());
        const DataType type = steps ? DataType::kINT8 : tensors[kMask].type;
        return tensor.type == type && tensor.format == output_format(x.format, type);  // residual and joined channels as well
    }

    void check(const Tensors& tensors) const override {
        const Size x = size_of(tensors[kX].dims), mask = size_of(tensors[kMask].dims);
        const Size out = size_of(tensors.back().dims);
        const Weights weights = weights_of(tensors);
        require(mask.batch == x.batch && mask.channels == 1 && mask.height == x.height && mask.width == x.width,
                "the mask is not [N,1,H,W] of x");
        require(weights.channels == x.channels + joined_channels(tensors), "the weights do not have the channels of x");
        require(weights.kernel % 2 == 1 && weights.kernel <= 5, "the kernel is not 1x1, 3x3 or 5x5");
        require(pads_.empty() || pads_[0] == dilations_[0] * (weights.kernel / 2),
                "pads do not keep the size: they must be dilation * (k - 1) / 2");
        require(values(tensors[kBias]) == weights.outputs, "the bias does not have one value per output channel");
        for (int32_t i = 0; i < output_count(); ++i) {
            const Size one = size_of(tensor(tensors, input_count() + i).dims);
            require(one.batch == x.batch && one.channels == weights.outputs && one.height == x.height && one.width == x.width,
                    "the output is not [N,D,H,W]");
        }
        if (int8_) {
            require(values(tensors[kXScale]) == 1, "x has more than one scale");
            require(values(tensors[kWeightScale]) == weights.outputs, "the weights do not have one scale per output channel");
        }
        if (listed_) {
            const Dims &index = tensor(tensors, list()).dims, &taps = tensor(tensors, list() + 1).dims;
            const Dims& count = tensor(tensors, list() + 2).dims;
            require(is_list_of(mask, index, count) && is_list_of(mask, taps, count),
                    "the list of active pixels is not [N,1,H,W], [N,1,H,W] and [N]");
        }
        if (joined_) {
            const Size joined = size_of(tensor(tensors, input_count() - 1).dims);
            require(joined.batch == x.batch && joined.height == x.height && joined.width == x.width,
                    "the joined channels do not lie where those of x do");
            require(x.channels % kJoinStep == 0, "channels can be joined to a multiple of 8");
        }
        if (residual_) {
            const Size residual = size_of(tensor(tensors, input_count() - 1).dims);
            const int32_t step = coarse_ ? 2 : 1;
            require(residual.batch == out.batch && residual.channels == step * step * out.channels &&
                        step * residual.height == out.height && step * residual.width == out.width,
                    coarse_ ? "the residual is not [N,4D,H/2,W/2]" : "the residual does not have the output's shape");
            require(!coarse_ || out.channels % kCoarseStep == 0, "a coarse residual needs a multiple of 8 output channels");
        }
    }

    size_t workspace_bytes(const Tensors& tensors) const override {
        const Weights weights = weights_of(tensors);
        const size_t lists = active_pixels_bytes(size_of(tensors[kMask].dims), weights.kernel > 1);  // checks the pixels
        return listed_ ? 0 : packed_bytes(weights, tensors[kWeight].type) + scale_bytes(weights) + lists;
    }

    void load(const Tensors& tensors) override {
        const std::string x = type_name(tensors[kX].type), weight = type_name(tensors[kWeight].type);
        const std::string types = x + "." + weight + "." + type_name(tensors[kMask].type);
        const std::string layouts = layout_name(tensors[kX].format) + "." + layout_name(number_format(tensors));
        const std::string layer = layer_variant(types, tensors);
        const std::string neighbours = neighbours_variant(tensors[kMask].type, window());
        by_layer_ = layouts != "linear.linear" && !layer.empty() && has_kernel(layer) &&
                    (listed_ || window() == 1 || has_kernel(neighbours));
        const std::string tiled = layer + "." + tiling_;  // a library that was built without tuning has no such kernel
        const std::string own = !tiling_.empty() && has_kernel(tiled) ? tiled : layer;
        convolve_ = load_kernel(by_layer_ ? own : "sparse_conv2d." + types + "." + layouts);
        processors_ = multiprocessors();
        if (listed_) {
            return;
        }
        pack_ = load_kernel("pack_weight." + weight);
        compact_ = by_layer_ && window() > 1 ? load_kernel(neighbours) : load_compaction(tensors[kMask].type);
        if (int8_) {
            combine_ = load_kernel("combine_scales");
        }
    }

    void run(const Tensors& tensors, void const* const* inputs, void* const* outputs, char* workspace,
             CUstream stream) const override {
        const Size x = size_of(tensors[kX].dims);
        const Weights weights = weights_of(tensors);
        const Size out{x.batch, weights.outputs, x.height, x.width};
        const TensorFormat to = number_format(tensors);
        const Sources from = listed_ ? take_sources(inputs) : make_sources(tensors, inputs, workspace, stream);
        for (int32_t i = 0; i < output_count() && clear_output_ != 0; ++i) {
            const PluginTensorDesc& one = tensor(tensors, input_count() + i);
            clear(outputs[i], bytes_of(out, one.type, one.format), stream);
        }
        const void* output = outputs[0];                  // a kernel that gives INT8 alone does not write it
        const void* steps = outputs[output_count() - 1];  // another that gives no INT8 does not write this
        const std::array<unsigned, 3> grid{blocks_for(x.pixels(), convolve_.tile(0), processors_),
                                           static_cast<unsigned>(divide_up(out.channels, convolve_.tile(1))),
                                           static_cast<unsigned>(x.batch)};
        const void* residual = residual_ ? inputs[input_count() - 1] : output;
        const void* joined = joined_ ? inputs[input_count() - 1] : inputs[kX];
        const void* x_scale = int8_ ? inputs[kXScale] : from.scales;  // kernels without INT8 do not read it
        const ActivePixels& active = from.active;
        if (by_layer_) {
            const void* readable = active.taps == nullptr ? active.index : active.taps;  // a window of one tap reads none
            launch(convolve_, grid, stream,
                   {inputs[kX], joined, readable, active.index, active.count, from.packed, inputs[kBias], x_scale, from.scales,
                    residual, output, steps, x.height, x.width, dilations_[0], from.first_bit, residual_ ? 1 : 0, negative_slope_,
                    sum_slope_, out_scale_});
            return;
        }
        const int32_t more = joined_channels(tensors);
        launch(convolve_, grid, stream,
               {inputs[kX], joined, inputs[kMask], active.index, active.count, from.packed, inputs[kBias], x_scale,
                from.scales, residual, output, steps, x.height, x.width, weights.channels, more,
                kJoinStep * divide_up(x.channels, kJoinStep), out.channels, packed_outputs(weights),
                pitch_of(tensors[kX].format, x.channels), more == 0 ? 0 : pitch_of(tensors[kX].format, more),
                pitch_of(to, out.channels),
                pitch_of(to, (coarse_ ? 4 : 1) * out.channels), weights.kernel, dilations_[0],
                clean_input_ != 0.0f ? 1 : 0, residual_ ? (coarse_ ? 2 : 1) : 0, static_cast<int32_t>(gives_), negative_slope_,
                sum_slope_, out_scale_});
    }

    void describe(std::vector<PluginField>& fields) const override {
        if (!pads_.empty()) {
            fields.emplace_back("pads", pads_.data(), PluginFieldType::kINT32, 4);
        }
        fields.emplace_back("dilations", dilations_.data(), PluginFieldType::kINT32, 2);
        fields.emplace_back("negative_slope", &negative_slope_, PluginFieldType::kFLOAT32, 1);
        fields.emplace_back("sum_slope", &sum_slope_, PluginFieldType::kFLOAT32, 1);
        fields.emplace_back("out_scale", &out_scale_, PluginFieldType::kFLOAT32, 1);
        fields.emplace_back("clean_input", &clean_input_, PluginFieldType::kFLOAT32, 1);
        fields.emplace_back("clear_output", &clear_output_, PluginFieldType::kINT32, 1);
        if (!tiling_.empty()) {
            fields.emplace_back("tiling", tiling_.data(), PluginFieldType::kCHAR, static_cast<int32_t>(tiling_.size()));
        }
    }

    std::string settings() const override {
        return "dilation " + std::to_string(dilations_[0]) + ", slopes " + exact(negative_slope_) + " " +
               exact(sum_slope_) + ", out scale " + exact(out_scale_) + ", clean input " + exact(clean_input_) +
               ", clear output " + std::to_string(clear_output_) + (tiling_.empty() ? "" : ", tiling " + tiling_);
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

    // Returns the format of the output's floats, and of a residual.
    static TensorFormat number_format(const Tensors& tensors) {
        return output_format(tensors[kX].format, tensors[kMask].type);
    }

    static const PluginTensorDesc& tensor(const Tensors& tensors, int32_t position) {
        return tensors[static_cast<size_t>(position)];
    }

    // Tells whether an output is INT8: the last one, if any.
    bool is_int8(int32_t output) const { return gives_ != Gives::kFloat && output == output_count() - 1; }

    // Returns the position of the first tensor of a list, or of what comes in its place.
    int32_t list() const { return int8_ ? 6 : 4; }

    // Reads the sizes of the weights. Throws unless they are as they must be.
    Weights weights_of(const Tensors& tensors) const {
        const Size size = size_of(tensors[kWeight].dims);
        if (!listed_) {
            require(size.height == size.width, "the kernel is not square");
            return {size.height, size.channels, size.batch};
        }
        const Weights weights{size.batch, static_cast<int32_t>(tensors[kX].dims.d[1]) + joined_channels(tensors),
                              static_cast<int32_t>(values(tensors[kBias]))};
        const int32_t rows = int8_ ? size.width : size.height, columns = int8_ ? size.height : size.width;
        require(size.batch == size.channels && rows == packed_channels(weights) && columns == packed_outputs(weights),
                "the weights are not packed as [k,k,C,D'], or in INT8 [k,k,D',C'']");
        return weights;
    }

    // Returns the channels that are joined to those of x.
    int32_t joined_channels(const Tensors& tensors) const {
        return joined_ ? static_cast<int32_t>(tensor(tensors, input_count() - 1).dims.d[1]) : 0;
    }

    static int32_t packed_outputs(const Weights& weights) { return kChannelStep * divide_up(weights.outputs, kChannelStep); }

    int32_t packed_channels(const Weights& weights) const {
        return int8_ ? kInt8Step * divide_up(weights.channels, kInt8Step) : weights.channels;
    }

    // Returns the side of the window in taps, or 0 where the node does not say it.
    int32_t window() const { return pads_.empty() ? 0 : 2 * (pads_[0] / dilations_[0]) + 1; }

    // Returns the name of the kernel for a layer of these sizes, which the library may have, or "" where they are unknown.
    // Only those with a coarse residual have a second activation.
    std::string layer_variant(const std::string& types, const Tensors& tensors) const {
        return window() == 0 || (sum_slope_ != 1.0f && !coarse_) ? "" : "convolve_layer." + types + ".k" + std::to_string(window()) + ".c" +
                                        std::to_string(tensors[kX].dims.d[1] + joined_channels(tensors)) + ".d" +
                                        std::to_string(tensors.back().dims.d[1]) + (coarse_ ? ".up" : "") +
                                        (joined_ ? ".j" + std::to_string(joined_channels(tensors)) : "") +
                                        (gives_ == Gives::kFloat ? "" : gives_ == Gives::kInt8 ? ".to_int8" : ".to_both");
    }

    int32_t packed_values(const Weights& weights) const {
        return weights.kernel * weights.kernel * packed_channels(weights) * packed_outputs(weights);
    }

    size_t packed_bytes(const Weights& weights, DataType type) const {
        return aligned(static_cast<size_t>(packed_values(weights)) * type_bytes(type));
    }

    size_t scale_bytes(const Weights& weights) const {
        return int8_ ? aligned(static_cast<size_t>(weights.outputs) * sizeof(float)) : 0;
    }

    // Returns the inputs of a listed form.
    Sources take_sources(void const* const* inputs) const {
        const auto numbers = [&](int32_t position) { return static_cast<const int32_t*>(inputs[list() + position]); };
        const void* scales = inputs[int8_ ? kWeightScale : kBias];  // kernels without INT8 do not read it
        return {inputs[kWeight], scales, {numbers(0), numbers(1), numbers(2)}, clean_input_ != 0.0f ? kInsideBit : 0};
    }

    // Packs the weights, multiplies the scales and lists the active pixels in the workspace.
    Sources make_sources(const Tensors& tensors, void const* const* inputs, char* workspace, CUstream stream) const {
        const Size x = size_of(tensors[kX].dims);
        const Weights weights = weights_of(tensors);
        char* scales = workspace + packed_bytes(weights, tensors[kWeight].type);
        char* lists = scales + scale_bytes(weights);
        pack(weights, inputs[kWeight], workspace, stream);
        if (int8_) {
            const unsigned blocks = static_cast<unsigned>(divide_up(weights.outputs, combine_.tile(0)));
            launch(combine_, {blocks, 1, 1}, stream, {inputs[kXScale], inputs[kWeightScale], scales, weights.outputs});
        }
        const Size mask{x.batch, 1, x.height, x.width};
        const Window taps{weights.kernel, dilations_[0], clean_input_ != 0.0f};
        const ActivePixels active = by_layer_ && weights.kernel > 1
                                        ? find_neighbours(compact_, inputs[kMask], mask, taps, lists, stream)
                                        : find_active_pixels(compact_, inputs[kMask], mask, lists, stream);
        return {workspace, scales, active, 0};
    }

    void pack(const Weights& weights, const void* from, void* to, CUstream stream) const {
        const unsigned blocks = static_cast<unsigned>(divide_up(packed_values(weights), pack_.tile(0)));
        launch(pack_, {blocks, 1, 1}, stream,
               {from, to, weights.channels, weights.outputs, weights.kernel * weights.kernel, packed_outputs(weights)});
    }

    bool x_int8_, int8_, residual_;  // whether x is INT8, whether the products are INT8, whether a residual is added
    bool joined_;                    // whether the last input has further channels of x
    bool coarse_;                    // whether the residual has half the size
    bool listed_;                    // whether lists, packed weights and multiplied scales are inputs
    Gives gives_;                    // types of the outputs
    float negative_slope_, sum_slope_, out_scale_, clean_input_;  // slopes before and after the residual, and a step's value
    int32_t clear_output_;  // 0: no later node reads the output's clean pixels, so they need not become zero
    std::vector<int32_t> pads_, dilations_;
    std::string tiling_;  // name of the tiling that was the fastest on the GPU, or "" for the first choice
    Kernel compact_, pack_, combine_, convolve_;
    bool by_layer_ = false;  // `convolve_` is the kernel of this layer's sizes
    int32_t processors_ = 1;
};

// Lists the names of all forms. With a list, any last input goes with any output, but no channels are joined to INT8 ones.
std::vector<std::string> list_forms() {
    std::vector<std::string> names;
    for (const std::string kind : {"", "Int8", "Quantize"}) {
        for (const std::string last : {"", "Add", "AddUp", "Join"}) {
            if (last.empty() || last == "Add") {
                names.push_back("SparseConv2d" + kind + last);
            }
            for (const std::string gives : {"", "ToInt8", "ToBoth"}) {
                if (kind != "Int8" || last != "Join") {
                    names.push_back("SparseConv2d" + kind + last + gives + "Listed");
                }
            }
        }
    }
    return names;
}

}  // namespace

Creators sparse_conv2d_creators() {
    // Never destroyed: TensorRT's registry keeps pointers to the creators and their names until the process ends.
    static const auto& names = *new std::vector<std::string>(list_forms());
    static const auto& creators = *new std::vector<std::unique_ptr<Creator<SparseConv2d>>>([] {
        std::vector<std::unique_ptr<Creator<SparseConv2d>>> made;
        for (const std::string& name : names) {
            made.push_back(std::make_unique<Creator<SparseConv2d>>(name.c_str()));
        }
        return made;
    }());
    Creators all;
    for (const auto& creator : creators) {
        all.push_back(creator.get());
    }
    return all;
}

}  // namespace spair
