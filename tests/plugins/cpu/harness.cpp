// Runs one kernel on a block of memory from a file: base of the block, bytes of the structure, number of its pointers,
// place of the result, places of the pointers, the structure, the block. The block is written back.

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <vector>

struct SpairPool;

#define JOIN(set, name) spair_##set##_##name
#define NAME(set, name) JOIN(set, name)
#define KERNEL(name) NAME(SPAIR_SET, name)
#define TEXT_OF(set) #set
#define TEXT(set) TEXT_OF(set)
// Functions of a structure, that is of all kernels but a few.
#define STRUCTURED(X) \
    X(pack_f32) X(pack_i8) X(pack_bf16) X(round_values) X(read_bytes) X(write_bytes) X(list_rows) X(convolve_rows_f32) X(convolve_rows_i8) \
    X(convolve_rows_bf16) X(attend_rows_f32) X(measure_moments_f32) X(add_keys_f32) X(lift_rows_f32) X(convolve_map_f32) \
    X(convolve_map_i8) X(convolve_map_bf16) X(add_doubled_f32) X(find_mask_f32) X(find_mask_i8) X(find_mask_bf16) \
    X(sum_taps_f32)

extern "C" {
SpairPool* spair_pool_open(int);
void spair_pool_close(SpairPool*);
int spair_runs(const char*);
#define DECLARE(name) void KERNEL(name)(SpairPool*, const void*);
STRUCTURED(DECLARE)
void KERNEL(halve_mask)(SpairPool*, const uint8_t*, int, int, uint8_t*);
void KERNEL(grow_mask)(SpairPool*, const uint8_t*, int, int, uint8_t*);
int64_t KERNEL(count_rows)(SpairPool*, const void*);
int64_t KERNEL(finish_planes_f32)(SpairPool*, const void*);
void KERNEL(find_parents)(SpairPool*, const int32_t*, int64_t, int, const int32_t*, int32_t*);
void KERNEL(read_planes_f32)(SpairPool*, const float*, int64_t, int64_t, int, int, float*, int);
void KERNEL(halve_pixels_f32)(SpairPool*, const float*, int, int, float*);
}

template <class T>
T* at(const int64_t* a, int i) {
    return reinterpret_cast<T*>(a[i]);
}

int main(int argc, char** argv) {
    if (argc != 3 || !spair_runs(TEXT(SPAIR_SET)) || spair_runs("avx2")) return 2;
    std::FILE* file = std::fopen(argv[2], "rb");
    std::vector<unsigned char> all;
    std::fseek(file, 0, SEEK_END);
    all.resize(std::ftell(file));
    std::rewind(file);
    if (std::fread(all.data(), 1, all.size(), file) != all.size()) return 3;
    std::fclose(file);
    uint64_t head[4];
    std::memcpy(head, all.data(), sizeof head);
    unsigned char* call_at = all.data() + 32 + 8 * head[2];
    // At a cache line, as the block is where the test made it.
    std::vector<unsigned char> held(all.size() + 64);
    const uint64_t size = all.size() - (32 + 8 * head[2] + head[1]);
    unsigned char* block = held.data() + (head[0] - reinterpret_cast<uint64_t>(held.data())) % 64;
    std::memcpy(block, call_at + head[1], size);
    std::vector<int64_t> call(head[1] / 8 + 1);
    std::memcpy(call.data(), call_at, head[1]);
    for (uint64_t i = 0; i < head[2]; ++i) {
        uint64_t place, value;
        std::memcpy(&place, all.data() + 32 + 8 * i, 8);
        unsigned char* field = reinterpret_cast<unsigned char*>(call.data()) + place;
        std::memcpy(&value, field, 8);
        if (value) value = value - head[0] + reinterpret_cast<uint64_t>(block);
        std::memcpy(field, &value, 8);
    }
    SpairPool* pool = spair_pool_open(2);
    const int64_t* a = call.data();
    int64_t result = 0;
#define ENTRY(name) {#name, [&] { KERNEL(name)(pool, a); }},
    const std::map<std::string, std::function<void()>> functions = {
        STRUCTURED(ENTRY)
        {"count_rows", [&] { result = KERNEL(count_rows)(pool, a); }},
        {"finish_planes_f32", [&] { result = KERNEL(finish_planes_f32)(pool, a); }},
        {"halve_mask", [&] { KERNEL(halve_mask)(pool, at<uint8_t>(a, 0), a[1], a[2], at<uint8_t>(a, 3)); }},
        {"grow_mask", [&] { KERNEL(grow_mask)(pool, at<uint8_t>(a, 0), a[1], a[2], at<uint8_t>(a, 3)); }},
        {"find_parents",
         [&] { KERNEL(find_parents)(pool, at<int32_t>(a, 0), a[1], a[2], at<int32_t>(a, 3), at<int32_t>(a, 4)); }},
        {"read_planes_f32",
         [&] { KERNEL(read_planes_f32)(pool, at<float>(a, 0), a[1], a[2], a[3], a[4], at<float>(a, 5), a[6]); }},
        {"halve_pixels_f32", [&] { KERNEL(halve_pixels_f32)(pool, at<float>(a, 0), a[1], a[2], at<float>(a, 3)); }},
    };
    functions.at(argv[1])();
    spair_pool_close(pool);
    std::memcpy(all.data() + 24, &result, 8);
    std::memcpy(call_at + head[1], block, size);
    file = std::fopen(argv[2], "wb");
    if (std::fwrite(all.data(), 1, all.size(), file) != all.size()) return 4;
    return std::fclose(file);
}
