// Creators of all operators, one for each name that a node may have.
#pragma once
#include "NvInferRuntime.h"

#include <vector>

#include "fields.h"

namespace spair {

using Creators = std::vector<nvinfer1::IPluginCreatorInterface*>;

Creators sparse_index_creators();
Creators sparse_conv2d_creators();
Creators sparse_non_local_creators();
Creators masked_modulation_creators();
Creators sparse_compose_creators();

}  // namespace spair
