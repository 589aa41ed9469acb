// SparseNonLocal, attention from the distorted pixels to clean keys. See README.md.
#include <algorithm>
#include <stdexcept>

#include "../native/compaction.h"
#include "../native/creators.h"
#include "../native/plugin.h"

namespace spair {
namespace {

using namespace nvinfer1;

constexpr int32_t kQuery = 0, kKey = 1, kValue = 2, kQueryMask = 3, kKeyMask = 4;
constexpr int32_t kIndex = 5, kCount = 6;  // of the form that takes the list of active queries

constexpr int32_t kWidths[] = {16, 32, 64, 128};  // numbers of channels with a kernel; others are padded with zeros

class SparseNonLocal : public Plugin {
public:
    SparseNonLocal(const char* name, bool listed, const FieldReader& reader)
        : Plugin(name, reader),
          listed_(listed),
          scale_(reader.real("scale", 1.0f)),
          clear_output_(reader.integer("clear_output", 1)) {}

    static std::vector<PluginField> attributes() {
        return {PluginField("scale", nullptr, PluginFieldType::kFLOAT32, 1),
                PluginField("clear_output", nullptr, PluginFieldType::kINT32, 1)};
    }

protected:
    SparseNonLocal(const SparseNonLocal&) = default;

    Plugin* copy() const override { return new SparseNonLocal(*this); }
    int32_t input_count() const override { return listed_ ? 7 : 5; }
    DataType output_type(int32_t, const DataType* in) const override { return in[kQuery]; }
    void output_shapes(const DimsExprs* in, DimsExprs* out) const override {
        out[0] = in[0];
        out[0].d[1] = in[kValue].d[1];
    }

    bool supports(int32_t position, const Tensors& tensors) const override {
        const PluginTensorDesc& tensor = tensors[static_cast<size_t>(position)];
        const PluginTensorDesc& query = tensors[kQuery];
        if (position == kQuery) {
            return (tensor.type == DataType::kFLOAT || tensor.type == DataType::kHALF) && is_picture_format(tensor);
        }
        const bool is_list = listed_ && (position == kIndex || position == kCount);
        const TensorFormat expected = position == input_count() ? query.format : TensorFormat::kLINEAR;
        return tensor.type == (is_list ? DataType::kINT32 : query.type) && tensor.format == expected;
    }

    void check(const Tensors& tensors) const override {
        const Size query = size_of(tensors[kQuery].dims), key = size_of(tensors[kKey].dims);
        const Size value = size_of(tensors[kValue].dims), query_mask = size_of(tensors[kQueryMask].dims);
        const Size key_mask = size_of(tensors[kKeyMask].dims), out = size_of(tensors.back().dims);
        require(key.batch == query.batch && key.channels == query.channels, "the keys do not have the queries' batch and channels");
        require(same_place(value, key), "the values do not lie where the keys do");
        require(query_mask.channels == 1 && same_place(query_mask, query), "the queries' mask is not [N,1,H,W]");
        require(key_mask.channels == 1 && same_place(key_mask, key), "the keys' mask is not [N,1,K,L]");
        require(out.channels == value.channels && same_place(out, query), "the output is not [N,D,H,W]");
        if (listed_) {
            require(is_list_of(query_mask, tensors[kIndex].dims, tensors[kCount].dims),
                    "the list of active queries is not [N,1,H,W] and [N]");
        }
        width(tensors);
    }

    size_t workspace_bytes(const Tensors& tensors) const override {
        const size_t bytes = active_pixels_bytes(size_of(tensors[kQueryMask].dims));
        return listed_ ? 0 : bytes;
    }

    void load(const Tensors& tensors) override {
        const PluginTensorDesc& query = tensors[kQuery];
        if (!listed_) {
            compact_ = load_compaction(tensors[kQueryMask].type);
        }
        attend_ = load_kernel("sparse_non_local." + type_name(query.type) + "." + layout_name(query.format) + ".b" +
                              std::to_string(width(tensors)));
        processors_ = multiprocessors();
    }

    void run(const Tensors& tensors, void const* const* inputs, void* const* outputs, char* workspace,
             CUstream stream) const override {
        const Size query = size_of(tensors[kQuery].dims), value = size_of(tensors[kValue].dims);
        const Size out{query.batch, value.channels, query.height, query.width};
        const TensorFormat format = tensors[kQuery].format;
        const Size mask{query.batch, 1, query.height, query.width};
        const ActivePixels active =
            listed_ ? ActivePixels{static_cast<const int32_t*>(inputs[kIndex]), nullptr, static_cast<const int32_t*>(inputs[kCount])}
                    : find_active_pixels(compact_, inputs[kQueryMask], mask, workspace, stream);
        if (clear_output_ != 0) {
            clear(outputs[0], bytes_of(out, tensors.back().type, format), stream);
        }
        const unsigned blocks = blocks_for(query.pixels(), attend_.tile(0), processors_);
        launch(attend_, {blocks, 1, static_cast<unsigned>(query.batch)}, stream,
               {inputs[kQuery], inputs[kKey], inputs[kValue], active.index, active.count, inputs[kKeyMask], outputs[0],
                query.pixels(), value.pixels(), query.channels, out.channels, pitch_of(format, query.channels),
                pitch_of(format, out.channels), scale_});
    }

    void describe(std::vector<PluginField>& fields) const override {
        fields.emplace_back("scale", &scale_, PluginFieldType::kFLOAT32, 1);
        fields.emplace_back("clear_output", &clear_output_, PluginFieldType::kINT32, 1);
    }

    std::string settings() const override {
        return "scale " + exact(scale_) + ", clear output " + std::to_string(clear_output_);
    }

private:
    static void require(bool holds, const char* problem) {
        if (!holds) {
            throw std::runtime_error(problem);
        }
    }

    static bool same_place(const Size& a, const Size& b) {
        return a.batch == b.batch && a.height == b.height && a.width == b.width;
    }

    // Returns the width of the narrowest kernel that holds the channels of queries and of values.
    static int32_t width(const Tensors& tensors) {
        const int32_t channels = static_cast<int32_t>(std::max(tensors[kQuery].dims.d[1], tensors[kValue].dims.d[1]));
        for (const int32_t candidate : kWidths) {
            if (channels <= candidate) {
                return candidate;
            }
        }
        throw std::runtime_error("queries or values have " + std::to_string(channels) + " channels, at most 128 have a kernel");
    }

    bool listed_;  // whether the list of active queries is an input
    float scale_;
    int32_t clear_output_;  // 0: no later node reads the output's clean pixels, so they need not become zero
    Kernel compact_, attend_;
    int32_t processors_ = 1;
};

template <bool listed>
class Form final : public SparseNonLocal {
public:
    Form(const char* name, const FieldReader& reader) : SparseNonLocal(name, listed, reader) {}

protected:
    Plugin* copy() const override { return new Form(*this); }
};

}  // namespace

Creators sparse_non_local_creators() {
    static Creator<Form<false>> creator("SparseNonLocal");
    static Creator<Form<true>> listed("SparseNonLocalListed");
    return {&creator, &listed};
}

}  // namespace spair
