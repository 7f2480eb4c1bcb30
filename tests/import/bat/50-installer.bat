@echo off
git clone https://example.org/trainer.git
python -m venv venv
call venv\Scripts\activate
pip install -r requirements.txt
