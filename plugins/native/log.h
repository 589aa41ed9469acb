// Messages to whichever logger TensorRT has.
#pragma once
#include "NvInferRuntime.h"
#include <string>

namespace spair {

void set_logger_finder(nvinfer1::ILoggerFinder* finder) noexcept;

// An error to the engine's logger, or to stderr before TensorRT handed one over.
void log_error(const std::string& message) noexcept;

}  // namespace spair
