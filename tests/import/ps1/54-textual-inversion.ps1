python sdxl_train_textual_inversion.py --token_string x
