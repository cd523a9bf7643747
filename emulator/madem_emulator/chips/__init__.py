"""Chips at register level, as their data sheets describe them. Each is one module.

Every model has `misuse`: what the firmware did that the data sheet does not allow, in words.
"""
