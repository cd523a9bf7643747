"""Chips at register level, as their data sheets describe them: one module each.

Every model has `misuse`: in words, what the firmware did that the data sheet does not allow.
"""
