python kohya_gui.py --inbrowser
