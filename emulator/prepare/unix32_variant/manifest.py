include("$(MADEM)/manifest.py")
