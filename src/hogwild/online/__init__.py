"""Online learning: from one example to the next, in a process or in a group of servers that mix what they learnt."""
