typedef int cn_placeholder_tensor;
