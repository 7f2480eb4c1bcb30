& .\venv\Scripts\python.exe .\finetune\tag_images_by_wd14_tagger.py --batch_size=4 .\train
