"""Choice of tilings by timing them on this GPU."""
