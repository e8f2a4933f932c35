module mcomp

go 1.19
