typedef int cn_placeholder_policy;
