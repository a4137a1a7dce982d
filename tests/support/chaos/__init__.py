"""The chaos suite: random histories of faults on a lab under load, and a check of what was seen.

history    from a seed to operations; pure
clients    the load             ┐
monkey     performs operations  ├─ what each saw is in `records`
observer   looks on             ┘
census     what the engine and the kernel run of the lab
trial      all of these together, once
checker    from records to the promises that were broken; pure
"""
