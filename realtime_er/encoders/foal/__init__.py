"""What Foal-Net reads: torch and transformers, loaded only when they are used.

wavlm.py   six seconds of sound to a state every 20 ms (trained with the network)
clip.py    pictures to 768 numbers each (never trained)
"""
