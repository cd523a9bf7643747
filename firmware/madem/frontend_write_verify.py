"""Write-verify: pulse devices of a card until a read finds each where it is wanted."""

from micropython import const

_TOLERANCE = const(6)  # 3 % of a window, in the units of `devices`: 200 are a window
_ROUNDS = const(60)
# The further off, the longer the train: half the way at the most, for 32 pulses a window.
_TRAINS = ((8, 96), (2, 24), (1, _TOLERANCE))


def line(board, card, row, wanted, levels, codes):
    """Bring the devices of one row to `wanted`, a list with −1 for columns that don't matter.

    levels, codes: buffers for the rows' levels and the columns' codes; all levels are 0, and stay
    so. Returns the pulses that devices got, and how many devices are still off.
    """
    span = board.SPAN
    pulses = off = 0
    for _ in range(_ROUNDS):
        levels[row] = 255
        board.drive_rows(levels)
        levels[row] = 0
        board.sense_columns(card, codes)
        masks = [0] * 6  # RESET and SET of each train
        off = 0
        for column, g in enumerate(wanted):
            if g < 0:
                continue
            error = g - (codes[column] * 200 + span // 2) // span
            for k, (train, least) in enumerate(_TRAINS):
                if abs(error) > least:
                    masks[2 * k + (error > 0)] |= 1 << column
                    pulses += train
                    off += 1
                    break
        if not off:
            break
        for k, mask in enumerate(masks):
            if mask:
                board.pulse(card, 1 << row, mask, k & 1 == 1, _TRAINS[k >> 1][0])
    board.rest()
    return pulses, off
