typedef int cn_placeholder_bridge;
