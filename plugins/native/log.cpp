#include "log.h"

#include "NvInferVersion.h"

#include <cstdint>
#include <cstdio>
#include <mutex>

#include "generation.h"

namespace spair {
namespace {

constexpr int32_t kError = 1;  // nvinfer1::ILogger::Severity::kERROR

// Where TensorRT is not to be recognized, because a program holds it inside, its headers are the best guess.
constexpr const Generation& kHeaders = NV_TENSORRT_MAJOR < 11 ? kTen : kEleven;

// A logger finder with its generation; both change together when a second TensorRT loads the library.
struct Finder {
    void* object = nullptr;
    const Generation* functions = &kHeaders;
};

std::mutex guard;
Finder current;

Finder get_finder() {
    const std::lock_guard<std::mutex> lock(guard);
    return current;
}

}  // namespace

void set_logger_finder(void* finder) noexcept {
    const Generation* found = finder == nullptr ? nullptr : generation_of(finder);
    const std::lock_guard<std::mutex> lock(guard);
    current = {finder, found == nullptr ? &kHeaders : found};
}

void log_error(const std::string& message) noexcept {
    const Finder finder = get_finder();
    void* logger = finder.object == nullptr ? nullptr : call<void*>(finder.object, finder.functions->find_logger);
    if (logger != nullptr) {
        call<void>(logger, finder.functions->log, kError, message.c_str());
    } else {
        std::fprintf(stderr, "spair: %s\n", message.c_str());
    }
}

}  // namespace spair
