"""The trio-native, fully typed client for Binance's Spot WebSocket API."""
