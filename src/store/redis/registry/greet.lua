-- Returns epoch, number and the run of the server.
local epoch, number = ensure()
return { epoch, number, run }
