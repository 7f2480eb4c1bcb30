set -e
git clone https://example.org/x.git
pip install -r requirements.txt
