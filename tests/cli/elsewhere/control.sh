# A shell that drives the sandbox by its control, whose URL is given. It prints one line of JSON for each answer.
set -eu
curl --silent --fail --noproxy '*' "$1/state"
echo
curl --silent --fail --noproxy '*' --json '{"asset": "BTC", "amount": 1}' "$1/deposit"
echo
curl --silent --noproxy '*' --json '{"asset": "BTC", "amount": 1, "uid": 99}' "$1/deposit"
echo
