"""Groups of servers that mix their models: members, their messages, and who coordinates them."""
