// Nothing of its own: the target it stands in compiles the headers that all tests share.
