freeze("$(PORT_DIR)/modules")
include("$(BOARD_DIR)/firmware/manifest.py")
