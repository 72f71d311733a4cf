include $(sort $(wildcard $(BR2_EXTERNAL_KENDRYTE_PATH)/package/*/*.mk))
