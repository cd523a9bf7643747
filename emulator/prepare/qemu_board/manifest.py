freeze("$(BOARD_DIR)", "_boot.py")
include("$(MADEM)/manifest.py")
