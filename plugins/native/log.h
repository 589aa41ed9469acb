// Messages to TensorRT's logger.
#pragma once
#include <string>

namespace spair {

// Takes TensorRT's ILoggerFinder, of either generation.
void set_logger_finder(void* finder) noexcept;

// Logs an error with TensorRT's logger, or on stderr before TensorRT handed a logger over.
void log_error(const std::string& message) noexcept;

}  // namespace spair
