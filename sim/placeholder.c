typedef int cn_placeholder_sim;
