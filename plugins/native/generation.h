// Two generations of the TensorRT interfaces that this library calls. No header of TensorRT is needed here.
#pragma once

namespace spair {

// Positions of functions in the tables of three interfaces, in the Itanium C++ ABI of Linux. TensorRT 11 put four
// functions before those of ILogger and ILoggerFinder, and took three from the front of IPluginRegistry. Code that is
// compiled with the headers of one generation therefore calls other functions in the other one.
struct Generation {
    int find_logger;   // ILoggerFinder::findLogger
    int log;           // ILogger::log
    int load_library;  // IPluginRegistry::loadLibrary
    int all_creators;  // IPluginRegistry::getAllCreators
};

constexpr Generation kTen{0, 0, 10, 13};   // TensorRT 10.0 to 10.16
constexpr Generation kEleven{4, 4, 6, 9};  // TensorRT 11 and TensorRT-RTX (1.7.1 was tried)

// Libraries that TensorRT may be in, by the names that processes load them under.
constexpr const char* kTensorRTs[] = {"libnvinfer.so.11", "libnvinfer.so.10", "libtensorrt_rtx.so.1"};

// Returns the generation of a library that dlopen returned, or null where it is no TensorRT.
const Generation* generation_in(void* library);

// Returns the generation of an object of TensorRT's: that of the library which made it, else that of a TensorRT in this
// process, else null.
const Generation* generation_of(const void* object);

// Calls the function at a position of an object's table.
template <typename Result, typename... Arguments>
Result call(void* object, int position, Arguments... arguments) {
    using Function = Result (*)(void*, Arguments...);
    void* const* table = *static_cast<void* const* const*>(object);
    return reinterpret_cast<Function>(table[position])(object, arguments...);
}

}  // namespace spair
