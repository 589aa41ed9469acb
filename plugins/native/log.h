// Messages to TensorRT's logger.
#pragma once
#include "NvInferRuntime.h"
#include <string>

namespace spair {

void set_logger_finder(nvinfer1::ILoggerFinder* finder) noexcept;

// Logs an error with TensorRT's logger, or on stderr before TensorRT handed a logger over.
void log_error(const std::string& message) noexcept;

}  // namespace spair
