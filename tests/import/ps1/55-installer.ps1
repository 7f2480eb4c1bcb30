git clone https://example.invalid/x.git
python -m venv venv
.\venv\Scripts\Activate.ps1
pip install -r requirements.txt
