"""What is kept in files: solutions, and whatever else a run has to find again.

`files` knows the file format, `checks` how a figure out of a file becomes one that can be used; `windows`, `trained`,
`training` and `problems` write down and read back one noun each; `solutions` puts them together. `export` makes ONNX
models.
"""
