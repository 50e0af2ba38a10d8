"""The exchange without its wire: rules, books, accounts. Pure; time is an argument, in microseconds."""
