"""What a second data plane adds, on a machine that has the load to bear, too."""
