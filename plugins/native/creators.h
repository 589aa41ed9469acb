// Creators of all operators, one for each name that a node may have.
#pragma once
#include "NvInferRuntime.h"

#include "fields.h"

namespace spair {

nvinfer1::IPluginCreatorInterface* sparse_conv2d_creator();
nvinfer1::IPluginCreatorInterface* sparse_conv2d_add_creator();
nvinfer1::IPluginCreatorInterface* sparse_conv2d_int8_creator();
nvinfer1::IPluginCreatorInterface* sparse_conv2d_int8_add_creator();
nvinfer1::IPluginCreatorInterface* sparse_conv2d_quantize_creator();
nvinfer1::IPluginCreatorInterface* sparse_conv2d_quantize_add_creator();
nvinfer1::IPluginCreatorInterface* sparse_non_local_creator();
nvinfer1::IPluginCreatorInterface* masked_modulation_creator();

}  // namespace spair
