"""Networks as graphs: one representation for models and ONNX files, its passes, and its way into a compiled program.

A graph here has one set of sizes: a front end makes one for each shape of the input that it meets, so that passes and
programs know every number. Arrays are channels-first by their axes, whatever their order in memory, which `lower`
chooses.
"""
